"""The page of `bench memory` in a browser without a network: no error, no request, the figures of --json, keys and pointer."""

import base64
import json
import os
import pathlib
import re
import tempfile
import unittest

import program
from program import SMALL
import browser  # of tests/project, where program finds it

if not browser.MISSING:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

POLICIES = ["stored", "checkpoint", "reversible"]


@unittest.skipIf(browser.MISSING, browser.NEEDS)
class Page(program.Case):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        common = ["bench", "memory", *SMALL, "--batch", 4, "--steps", 1, "--policy", ",".join(POLICIES)]
        cls.page = folder / "report.html"
        written, printed = program.call(*common, "--html", cls.page, "--depths", "1,2,4"), program.call(*common, "--json")
        if written.returncode or printed.returncode:
            raise RuntimeError(written.stderr + printed.stderr)
        cls.runs = {run["policy"]: run for run in json.loads(printed.stdout)["runs"]}
        cls.browser = browser.start(folder / "profile")
        cls.addClassCleanup(cls.browser.quit)

    def open(self, width, dark=False):
        command = self.browser.execute_cdp_cmd
        command("Network.enable", {})
        command("Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})
        command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        browser.resize(self.browser, width)
        self.browser.get("about:blank")
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.browser.get(self.page.as_uri())

    def script(self, text, *arguments):
        return self.browser.execute_script("return " + text, *arguments)

    def all(self, selector, expression):
        """`expression` of each element `e`."""
        return self.script(f"[...document.querySelectorAll(arguments[0])].map(e => {expression})", selector)

    def step(self, policy):
        return self.browser.find_element("css selector", f'svg[data-name="{policy}"]')

    def check_silence(self):
        self.assertEqual(self.browser.get_log("browser"), [])
        messages = (json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance"))
        requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        self.assertEqual({url for url in requests if not url.startswith(("data:", "chrome:"))}, {self.page.as_uri()})

    def test_figures(self):
        self.open(1280)
        rows = self.all("#figures tbody tr", "[e.dataset.name, +e.querySelector('[data-after-forward]').dataset.afterForward, "
                        "+e.querySelector('[data-peak]').dataset.peak, e.innerText]")
        self.assertEqual([row[:3] for row in rows], [[p, self.runs[p]["after_forward_bytes"], self.runs[p]["peak_bytes"]] for p in POLICIES])
        for policy, _, peak, text in rows:
            self.assertIn(str(peak), re.sub(r"[\s\u202f]", "", text))
        for policy in POLICIES:
            self.check_axis(policy, self.runs[policy]["peak_bytes"])
            total = self.all(f'table.alive[data-name="{policy}"] [data-sum]', "[+e.dataset.sum, e.innerText]")
            self.assertEqual(total[0][0], self.runs[policy]["peak_bytes"])
            self.assertEqual(re.sub(r"[^0-9]", "", total[0][1]), str(self.runs[policy]["peak_bytes"]))
        self.check_depths()
        self.check_silence()

    def check_axis(self, policy, peak):
        """By the axis and its numbers, the point of the peak stands at the peak's bytes, and the areas reach it."""
        picture = f'svg[data-name="{policy}"]'
        ticks = self.all(f"{picture} .y-tick", "[+e.textContent, +e.getAttribute('y') - 4]")
        (low, low_y), (high, high_y) = ticks[0], ticks[-1]
        unit = {"B": 1, "KiB": 2**10, "MiB": 2**20}[self.all(f"{picture} .unit", "e.textContent")[0]]
        (place,) = self.all(f"{picture} .peak", "+e.getAttribute('cy')")
        value = low + (high - low) * (place - low_y) / (high_y - low_y)
        self.assertAlmostEqual(value * unit, peak, delta=0.005 * high * unit)
        top = min(self.all(f"{picture} path[data-tag]", "Math.min(...[...e.getAttribute('d').matchAll(/V([0-9.]+)/g)].map(m => +m[1]))"))
        self.assertAlmostEqual(top, place, delta=0.1)
        text = self.all(f"{picture} .peak-text", "e.textContent")[0]
        self.assertEqual(text, f"peak {self.script('bytesText(arguments[0])', peak)}")

    def check_depths(self):
        rows = self.all("#depths tbody tr", "[e.dataset.name, +e.dataset.blocks, +e.querySelector('[data-peak]').dataset.peak]")
        self.assertEqual(len(rows), 9)
        for policy, blocks, peak in rows:
            if blocks == 6:
                self.assertEqual(peak, self.runs[policy]["peak_bytes"])
        self.assertEqual(len({peak for policy, _, peak in rows if policy == "reversible"}), 1)
        self.assertEqual(len({peak for policy, _, peak in rows if policy == "stored"}), 3)

    def test_pointer(self):
        self.open(1280)
        picture = self.step("stored")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
        end = self.script("pictures[0].x(recordings[0].end)")
        seen = set()
        for part in (0.3, 0.5, 0.7):
            from_the_middle = int(part * end - picture.size["width"] / 2)
            ActionChains(self.browser).move_to_element_with_offset(picture, from_the_middle, 0).perform()
            head = self.all(".step .readout strong", "e.textContent")[0]
            self.assertRegex(head, r"\A[0-9.]+ ms, (forward|loss|backward|update): .+")
            listed = self.all(".step:first-child .readout td", "e.textContent")
            self.assertTrue(any(re.search(r"f32 \[4,", text) for text in listed), listed)
            seen.add(head)
        self.assertEqual(len(seen), 3)
        self.assertTrue(any(" of " in head for head in seen), seen)
        self.check_silence()

    def test_keys(self):
        self.open(1280)
        picture = self.step("reversible")
        text = lambda: picture.get_attribute("aria-valuetext")
        picture.send_keys("p")
        self.assertIn(f"{self.script('bytesText(arguments[0])', self.runs['reversible']['peak_bytes'])} alive", text())
        picture.send_keys(Keys.HOME)
        self.assertRegex(text(), r"\A0\.00 ms, forward: ")
        seen = []
        for _ in range(6):
            picture.send_keys(Keys.ARROW_RIGHT)
            seen.append(text())
        self.assertEqual(len(set(seen)), 6)
        self.assertTrue(any("batch_norm_relu of stage" in t or "InvertibleModuleWrapper of stage" in t for t in seen), seen)
        picture.send_keys(Keys.ARROW_LEFT)
        self.assertEqual(text(), seen[-2])
        picture.send_keys(Keys.END, Keys.SHIFT + Keys.ARROW_LEFT)
        self.assertIn("update", text())
        box = self.browser.find_element("id", "all-tags")
        box.send_keys(Keys.SPACE)
        self.assertIn("parameter ", text())
        self.check_silence()

    def test_the_rest_of_the_peak_is_shown_on_demand(self):
        self.open(1280)
        table = 'table.alive[data-name="stored"]'
        self.assertEqual(len(self.all(f"{table} tbody tr", "1")), 12)
        self.browser.find_element("css selector", "#peaks button").click()
        bytes_ = self.all(f"{table} tbody tr", "+e.dataset.bytes")
        self.assertGreater(len(bytes_), 12)
        self.assertEqual(sum(bytes_), self.runs["stored"]["peak_bytes"])
        whys = self.all(f"{table} td.why", "e.textContent")
        self.assertTrue(all(whys))
        self.assertFalse([why for why in whys if "{}" in why])

    def test_nothing_is_cut_off(self):
        for width, dark in ((1280, False), (1280, True), (390, False), (390, True)):
            self.open(width, dark)
            self.assertLessEqual(self.script("document.scrollingElement.scrollWidth"), width)
            outside = self.script("""[...document.querySelectorAll("svg text")].filter(e => {
                const box = e.getBoundingClientRect(), picture = e.ownerSVGElement.getBoundingClientRect();
                return box.left < picture.left - 0.5 || box.right > picture.right + 0.5 || box.top < picture.top - 0.5 || box.bottom > picture.bottom + 0.5;
            }).map(e => e.textContent)""")
            self.assertEqual(outside, [], width)
            hidden = self.script("""[...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)""")
            self.assertEqual(hidden, [], width)
            self.save_screenshot(f"{width}-{'dark' if dark else 'light'}.png")
            self.check_silence()

    def save_screenshot(self, name):
        """For eyes: into the folder that RETRACE_SCREENSHOTS names, if it does."""
        folder = os.environ.get("RETRACE_SCREENSHOTS")
        if not folder:
            return
        height = self.script("document.documentElement.scrollHeight")
        size = self.script("window.innerWidth")
        shot = self.browser.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size, "height": height, "scale": 1}})
        (pathlib.Path(folder) / name).write_bytes(base64.b64decode(shot["data"]))


program.cases.main("cli-report-page")
