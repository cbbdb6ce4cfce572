// The page is light or dark as the reader's system is, which is also what the pictures go by.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => { document.body.dataset.theme = dark.matches ? "dark" : "light"; };
document.addEventListener("DOMContentLoaded", follow);
dark.addEventListener("change", follow);
