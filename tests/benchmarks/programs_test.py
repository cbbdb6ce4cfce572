"""The benchmarks' programs: what they print for machines, and that their numbers fit together."""

import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "project"))
import cases  # noqa: E402

KERNELS, TRAINING, SWEEP, NEIGHBOUR = sys.argv[1:5]
NET = ["--networks", "revnet38", "--batch", "2", "--steps", "1", "--threads", "1"]


def call(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


class Case(unittest.TestCase):
    def text(self, *command):
        done = call(*command)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Kernels(Case):
    def one(self, name):
        rows = json.loads(self.text(KERNELS, "--json", "--seconds", "0.001", "--threads", "1", "--filter", name))
        self.assertEqual([row["case"] for row in rows], [name])
        return rows[0]

    def test_fields(self):
        row = self.one("add 100x16x32x32")
        self.assertEqual(list(row), ["case", "seconds", "gflops", "gbytes_per_s", "percent_of_peak"])
        for key in list(row)[1:]:
            self.assertIsInstance(row[key], float)
            self.assertGreater(row[key], 0)

    def test_work_of_a_convolution(self):
        row = self.one("conv2d 1x1 stride 2 16->32@32 forward")
        products, numbers = 100 * 32 * 16 * 16 * 16, 100 * 16 * 32 * 32 + 32 * 16 + 100 * 32 * 16 * 16
        self.assertAlmostEqual(row["gflops"] * row["seconds"], 2e-9 * products, places=9)
        self.assertAlmostEqual(row["gbytes_per_s"] * row["seconds"], 4e-9 * numbers, places=9)

    def test_half_of_the_bytes(self):
        name = "conv2d 3x3 32->32@16 forward"
        full, half = (json.loads(self.text(KERNELS, "--json", "--seconds", "0.001", "--threads", "1", "--filter", name, "--dtype", dtype))[0]
                      for dtype in ("f32", "bf16"))
        for key, share in (("gflops", 1), ("gbytes_per_s", 0.5)):
            self.assertAlmostEqual(half[key] * half["seconds"], share * full[key] * full["seconds"], places=9)

    def test_table(self):
        text = self.text(KERNELS, "--seconds", "0.001", "--threads", "1", "--filter", "cross_entropy forward")
        self.assertRegex(text, r"\n\| cross_entropy forward 100x1000 (\| [0-9.]+ ){3}\| [0-9]+ GB/s \| [0-9]+ % \|\n\Z")

    def test_unknown_case(self):
        done = call(KERNELS, "--filter", "no such kernel")
        self.assertEqual((done.returncode, done.stderr), (2, "kernels: no case's name contains 'no such kernel'\n"))

    def test_unknown_device(self):
        for program in (KERNELS, TRAINING, SWEEP, NEIGHBOUR):
            done = call(program, "--device", "gpu")
            self.assertEqual(done.returncode, 2)
            self.assertIn(": [device] the name must be cpu, cuda or cuda:N, got 'gpu'\n", done.stderr)


class Neighbour(Case):
    def test_fields(self):
        row = json.loads(self.text(NEIGHBOUR, "--network", "tiny", "--batch", "2", "--steps", "1", "--threads", "2", "--json"))
        self.assertEqual(list(row), ["threads", "neighbours", "alone_seconds", "beside_seconds", "ratio"])
        self.assertEqual((row["threads"], row["neighbours"]), (2, 2))
        self.assertAlmostEqual(row["ratio"], row["beside_seconds"] / row["alone_seconds"])


class Sweep(Case):
    def test_batches(self):
        rows = json.loads(self.text(SWEEP, "--sweeps", "batch", "--steps", "1", "--json"))
        self.assertEqual([row["batch"] for row in rows], [25, 25, 50, 50, 100, 100, 200, 200])
        for stored, reversible in zip(rows[::2], rows[1::2]):
            self.assertEqual([stored["policy"], reversible["policy"]], ["stored", "reversible"])
            self.assertAlmostEqual(stored["gflop"], rows[0]["gflop"] * stored["batch"] / 25)
            self.assertGreater(reversible["gflop"], stored["gflop"])
            self.assertLess(reversible["gflop"], 4 / 3 * stored["gflop"])
            self.assertLess(reversible["peak_bytes"], stored["after_forward_bytes"])


class Training(Case):
    def test_rows_fit_together(self):
        stored, checkpoint, reversible = json.loads(self.text(TRAINING, *NET, "--json"))
        self.assertEqual([row["policy"] for row in (stored, checkpoint, reversible)],
                         ["stored", "checkpoint", "reversible"])
        self.assertNotIn("of_stored", stored)
        for row in (checkpoint, reversible):
            share = row["of_stored"]
            self.assertAlmostEqual(share["step"], row["step_seconds"] / stored["step_seconds"])
            self.assertAlmostEqual(share["r"], stored["backward_seconds"] / stored["forward_seconds"])
            self.assertAlmostEqual(share["ideal"], (1 + share["r"] + share["q"]) / (1 + share["r"]))
            self.assertGreater(share["q"], 0.3)
            self.assertLess(share["q"], 1)
            self.assertLess(row["peak_bytes"], stored["peak_bytes"])
        self.assertGreater(stored["resident_bytes"], stored["peak_bytes"])

    def test_the_process_holds_little_beside_the_tensors(self):
        for policy in ("stored", "reversible"):
            row, = json.loads(self.text(TRAINING, "--networks", "revnet38", "--policies", policy, "--steps", "1", "--json"))
            self.assertLess(row["resident_bytes"], 1.15 * row["needed_bytes"])
            self.assertGreater(row["needed_bytes"], row["peak_bytes"])

    def test_only_policies_that_a_network_has(self):
        rows = json.loads(self.text(TRAINING, "--networks", "resnet32", *NET[2:], "--json"))
        self.assertEqual([row["policy"] for row in rows], ["stored", "checkpoint"])

    def test_profile_adds_up(self):
        lines = self.text(TRAINING, *NET, "--policies", "reversible", "--profile").splitlines()
        rows = {cells[1]: cells for cells in ([c.strip() for c in line.split("|")] for line in lines) if len(cells) == 8}
        names = list(rows)
        together = {name: float(rows[name][5]) for name in names[2:]}  # below the title and its rule
        self.assertEqual(names[-1], "all")
        parts = sum(together[name] for name in names[2:-1])
        self.assertAlmostEqual(parts, together["all"], delta=0.05 * len(names))  # each is rounded to a tenth
        self.assertGreater(float(rows["conv2d"][3]), 0)  # replayed

    def test_unknown_network(self):
        done = call(TRAINING, "--networks", "resnet31")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\Atraining: \[[a-z_0-9 ]+\] the name must be one of .*, got 'resnet31' \(did you mean 'resnet32'\?\)\n\Z")


cases.main("benchmarks-programs")
