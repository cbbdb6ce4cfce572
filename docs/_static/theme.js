// The page is light or dark as the reader's system is, which is also what the pictures go by.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => { document.body.dataset.theme = dark.matches ? "dark" : "light"; };
document.addEventListener("DOMContentLoaded", follow);

// A picture opens alone, where a phone can enlarge it.
document.addEventListener("DOMContentLoaded", () => {
  for (const picture of document.querySelectorAll("article p > img")) {
    const link = document.createElement("a");
    link.href = picture.src;
    picture.replaceWith(link);
    link.append(picture);
  }
});
dark.addEventListener("change", follow);
