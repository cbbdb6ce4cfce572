"""The files of `bench memory`: they are well-formed, and their figures are those of --json from another process."""

import collections
import csv
import json
import os
import re
import subprocess
import xml.etree.ElementTree as xml

import program
from program import SMALL

POLICIES = ["stored", "checkpoint", "reversible"]
STEP_TAGS = ["activation", "saved", "gradient", "workspace"]
TOTAL = "activation bytes of the step"


def data_of(page):
    """The report's data in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


class Files(program.Case):
    def setUp(self):
        super().setUp()
        self.common = ["bench", "memory", *SMALL, "--batch", 4, "--steps", 1, "--policy", ",".join(POLICIES)]
        self.files = {kind: self.folder / f"step.{kind}" for kind in ("html", "svg", "csv", "trace")}
        options = [part for kind, path in self.files.items() for part in (f"--{kind}", path)]
        self.succeeds(*self.common, *options, "--depths", "1,2")
        self.runs = {run["policy"]: run for run in self.json(*self.common)["runs"]}
        self.assertEqual(list(self.runs), POLICIES)

    def test_page(self):
        page = self.files["html"].read_text()
        self.assertNotRegex(page, r"(?i)(src|href)=\"(?!data:)|https?://(?!www\.w3\.org/2000/svg)|@import|\beval\b")
        data = data_of(page)
        self.assertIn("tiny: ", data["text"])
        self.assertEqual([r["name"] for r in data["recordings"]], POLICIES)
        for recording in data["recordings"]:
            run = self.runs[recording["name"]]
            self.assertEqual((recording["afterForward"], recording["peak"]), (run["after_forward_bytes"], run["peak_bytes"]))
            self.assertEqual([phase[0] for phase in recording["phases"]], ["forward", "loss", "backward", "update"])
            self.check_alive(data, recording)
            self.check_pictured_bytes(data, recording)

    def check_alive(self, data, recording):
        """The table of the peak: it adds up, and each row has a name, a shape and a reason."""
        kinds = [recording["kinds"][event] for event in recording["events"] if event >= 0]
        self.assertEqual(sum(kinds[allocation][4] for allocation, _, _ in recording["alive"]), recording["peak"])
        for allocation, why, nodes in recording["alive"]:
            tag, operation, scope, shape, bytes_ = kinds[allocation]
            self.assertIn(data["tags"][tag][0], STEP_TAGS)
            self.assertTrue(data["texts"][operation] or data["texts"][scope])
            self.assertRegex(data["texts"][shape], r"\A(f32|u8|i32|i64) \[[0-9,]*\]\Z")
            self.assertGreater(bytes_, 0)
            self.assertEqual("{}" in data["whys"][why], bool(nodes))

    def check_pictured_bytes(self, data, recording):
        """What the picture is drawn from, added up as the page's script does."""
        allocations, live, most = [], 0, 0
        at_backward = next(phase[2] for phase in recording["phases"] if phase[0] == "backward")
        self.assertEqual(len(recording["events"]), len(recording["times"]))
        self.assertGreaterEqual(min(recording["times"]), 0)
        for event, number in enumerate(recording["events"]):
            if event == at_backward:
                self.assertEqual(live, recording["afterForward"])
            if number >= 0:
                allocations.append(recording["kinds"][number])
            tag, _, _, _, bytes_ = allocations[-1 if number >= 0 else number]
            if data["tags"][tag][1]:
                live += bytes_ if number >= 0 else -bytes_
            most = max(most, live)
        self.assertEqual(most, recording["peak"])

    def test_depths(self):
        data = data_of(self.files["html"].read_text())
        points = {(series, blocks): (after_forward, peak) for series, blocks, after_forward, peak in data["depths"]}
        self.assertEqual(sorted({blocks for _, blocks in points}), [6, 12])
        deep = self.json("bench", "memory", *SMALL[:-4], "--blocks", "4,4,4", "--threads", 1, "--batch", 4, "--steps", 1,
                         "--policy", ",".join(POLICIES))["runs"]
        for runs, blocks in ((self.runs.values(), 6), (deep, 12)):
            for run in runs:
                self.assertEqual(points[run["policy"], blocks], (run["after_forward_bytes"], run["peak_bytes"]))

    def test_trace(self):
        trace = json.loads(self.files["trace"].read_text())
        events = trace["traceEvents"]
        names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
        self.assertEqual(list(names.values()), POLICIES)
        self.assertEqual({e["ph"] for e in events}, {"M", "X", "C"})
        for event in events:
            self.assertIn(event["pid"], names)
            if event["ph"] != "M":
                self.assertGreaterEqual(event["ts"], 0)
        for pid, policy in names.items():
            spans = [e for e in events if e["ph"] == "X" and e["pid"] == pid]
            self.check_nesting(spans)
            self.check_counters([e for e in events if e["ph"] == "C" and e["pid"] == pid], spans, self.runs[policy])
            replays = [e for e in spans if e["cat"] == "replay"]
            self.assertEqual(bool(replays), policy != "stored")

    def check_nesting(self, spans):
        """Of one thread: ordered by begin, phases first; each lies in the one that is open, or behind it."""
        self.assertEqual({(e["tid"], type(e["dur"])) for e in spans}, {(1, float)})
        phases = [e["name"] for e in spans if e["cat"] == "phase"]
        self.assertEqual(phases, ["forward", "loss", "backward", "update"])
        nanoseconds = [(round(1000 * e["ts"]), round(1000 * (e["ts"] + e["dur"])), e) for e in spans]
        operations = [(begin, end) for begin, end, e in nanoseconds if e["cat"] != "phase"]
        self.assertEqual([begin for begin, _ in operations], sorted(begin for begin, _ in operations))
        open_ = []
        for begin, end, event in sorted(nanoseconds, key=lambda s: (s[0], -s[1])):
            self.assertLessEqual(begin, end)
            while open_ and open_[-1] <= begin:
                open_.pop()
            if open_:
                self.assertLessEqual(end, open_[-1], event)
            open_.append(end)

    def check_counters(self, counters, spans, run):
        tracks = collections.defaultdict(list)
        for event in counters:
            tracks[event["name"]].append((event["ts"], event["args"]["bytes"]))
        self.assertTrue({*STEP_TAGS, "parameter", TOTAL} <= set(tracks))
        for track in tracks.values():
            self.assertEqual([time for time, _ in track], sorted(time for time, _ in track))
            self.assertGreaterEqual(min(bytes_ for _, bytes_ in track), 0)
        self.assertEqual(max(bytes_ for _, bytes_ in tracks[TOTAL]), run["peak_bytes"])
        live, most = dict.fromkeys(STEP_TAGS, 0), 0
        for event in counters:
            if event["name"] in live:
                live[event["name"]] = event["args"]["bytes"]
            elif event["name"] == TOTAL:
                self.assertEqual(event["args"]["bytes"], sum(live.values()))
                most = max(most, sum(live.values()))
        self.assertEqual(most, run["peak_bytes"])
        backward = next(e for e in spans if e["name"] == "backward")
        before = [bytes_ for time, bytes_ in tracks[TOTAL] if time < backward["ts"]]
        self.assertEqual(before[-1], run["after_forward_bytes"])
        self.assertEqual(max(e["args"]["most_bytes"] for e in spans if e["cat"] == "phase"), run["peak_bytes"])

    def test_csv(self):
        with self.files["csv"].open(newline="") as file:
            rows = list(csv.DictReader(file))
        for policy, run in self.runs.items():
            mine = [row for row in rows if row["recording"] == policy]
            step = [sum(int(row[f"{tag}_bytes"]) for tag in STEP_TAGS) for row in mine]
            self.assertEqual(max(step), run["peak_bytes"])
            forward = [bytes_ for row, bytes_ in zip(mine, step) if row["phase"] in ("forward", "loss")]
            self.assertEqual(forward[-1], run["after_forward_bytes"])
            seconds = [float(row["seconds"]) for row in mine]
            self.assertEqual(seconds, sorted(seconds))
            self.assertTrue(any(row["node"].startswith("conv2d of stage1") for row in mine))

    def test_svg(self):
        texts = [element.text for element in xml.parse(self.files["svg"]).getroot().iter("{http://www.w3.org/2000/svg}text")]
        for policy, run in self.runs.items():
            self.assertIn(f"{policy}: peak {run['peak_bytes'] / 2**20:.1f} MiB", texts)


class Size(program.Case):
    def test_a_deep_network_fits(self):
        page = self.folder / "deep.html"
        self.succeeds("bench", "memory", "--network", "revnet110", "--batch", 2, "--steps", 1, "--policy", ",".join(POLICIES),
                      "--html", page, "--depths", 1)
        self.assertLess(page.stat().st_size, 1_000_000)

    def test_two_batches(self):
        page = self.folder / "two.html"
        self.succeeds("bench", "memory", *SMALL, "--batch", "2,4", "--steps", 1, "--policy", "reversible", "--html", page, "--depths", 1)
        data = data_of(page.read_text())
        self.assertEqual([r["name"] for r in data["recordings"]], ["reversible, batch 2", "reversible, batch 4"])
        self.assertEqual([point[0] for point in data["depths"]], ["reversible, batch 2"])

    def test_a_file_that_cannot_be(self):
        folder = self.folder / "no"
        self.fails(1, f"[bench] {folder}/x.csv must be in a folder that is there, but {folder} is none", "bench", "memory", *SMALL,
                   "--csv", folder / "x.csv")


class Places(program.Case):
    def test_what_is_no_file_is_written_into(self):
        """Links stay, and so do the device and the pipe that they lead to."""
        real, csv_link, svg_link = (self.folder / name for name in ("real.csv", "link.csv", "link.svg"))
        real.write_text("old")
        csv_link.symlink_to(real.name)
        svg_link.symlink_to("/dev/null")
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
        for cleanup in (reader.stdout.close, reader.wait, reader.kill):  # the last one first
            self.addCleanup(cleanup)
        self.succeeds("bench", "memory", *SMALL, "--batch", 2, "--steps", 1, "--policy", "stored", "--csv", csv_link, "--svg", svg_link,
                      "--trace", pipe)
        self.assertIn("traceEvents", json.loads(reader.communicate(timeout=30)[0]))
        self.assertTrue(csv_link.is_symlink() and svg_link.is_symlink() and pipe.is_fifo())
        self.assertTrue(real.read_text().startswith("recording,"), real.read_text()[:80])
        self.assertTrue(svg_link.is_char_device())


program.cases.main("cli-report")
