"""retrace explain: what it tells of a step is what the ledger and the tape of that step had."""

import os
import pty
import re
import subprocess

import program

FORGETS = re.compile(r"^ +forgets (\S+), (\d+) bytes +(\d+) +(\d+)$", re.M)
REBUILT = re.compile(r"^ +has rebuilt (\S+), (\d+) bytes +\d+  (.*)$", re.M)
RECORDED = re.compile(r"^ +(\d+)  (\w+) .*? (\d+) +(\d+)$", re.M)
REPLAYED = re.compile(r"^ {8}(\w+) +(\S+) .*? (\d+) +(\d+)  (.+)$", re.M)
SUMMARY = re.compile(r"^(stored|checkpoint|reversible) +(\d+) +(\d+) +(\d+\.\d+) *(.*)$", re.M)


class Explain(program.Case):
    def explain(self, *arguments):
        """(what is printed about forward, about backward, and {policy: (after forward, peak, loss, error)})."""
        text = self.succeeds("explain", *arguments)
        self.assertNotIn("\x1b", text)
        forward, backward = text.split("\nForward.")[1].split("\nBackward.")
        summary = {m[0]: (int(m[1]), int(m[2]), m[3], m[4]) for m in SUMMARY.findall(text)}
        return forward, backward, summary

    def test_the_default_is_two_couplings_of_tiny_in_f64(self):
        text = self.succeeds("explain")
        self.assertEqual(text.splitlines()[:2], ["Policy reversible",
                                                 "One training step of tiny: channels 8,8, blocks 2; 2 images of 3x4x4, f64."])
        self.assertEqual(text, self.succeeds("explain", "--network", "tiny", "--policy", "reversible", "--threads", "2"))

    def test_forgotten_and_rebuilt(self):
        forward, backward, summary = self.explain("--network", "tiny")
        # the stage's input [2,8,4,4] in f64: released right after the hook was recorded, and back at its end
        self.assertEqual(FORGETS.findall(forward), [("f64[2,8,4,4]", "2048", "2048", "2048")])
        self.assertEqual(REBUILT.findall(backward), [("f64[2,8,4,4]", "2048", "< 1e-14")])
        self.assertEqual([name for _, name, _, _ in RECORDED.findall(forward)],
                         ["checkpoint", "InvertibleModuleWrapper", "batch_norm_relu", "adaptive_avg_pool2d", "reshape", "linear",
                          "cross_entropy"])
        self.assertLess(summary["reversible"][0], summary["stored"][0] / 7)
        self.assertEqual(summary["reversible"][2], summary["stored"][2])
        self.assertEqual(summary["reversible"][3], "< 1e-14")

    def test_the_order_of_the_replay(self):
        _, backward, _ = self.explain("--network", "tiny")
        places = [where for _, where, *_ in REPLAYED.findall(backward)]
        halves = [re.sub(r"\.(bn|conv)\d$", "", place) for place in places]
        self.assertEqual(sorted(set(halves), key=halves.index),
                         ["stage1.1.G", "stage1.1.F", "stage1.0.G", "stage1.0.F", "bn1"])
        errors = dict((where, error) for _, where, _, _, error in REPLAYED.findall(backward))
        self.assertEqual(errors["stage1.1.G.conv1"], "none")  # y1 of the last block was kept
        self.assertEqual(errors["stage1.1.F.conv1"], "< 1e-14")  # x2 was rebuilt

    def test_stored(self):
        forward, backward, summary = self.explain("--network", "tiny", "--policy", "stored")
        self.assertEqual(FORGETS.findall(forward) + REBUILT.findall(backward), [])
        held = [int(bytes) for _, _, bytes, _ in RECORDED.findall(forward)]
        self.assertEqual(held, sorted(held))
        left = [int(bytes) for _, _, bytes, _ in RECORDED.findall(backward)]
        self.assertEqual(left, [0, *held][-2::-1])  # what is eaten leaves what was there before it was recorded
        self.assertEqual(list(summary), ["stored"])

    def test_bytes_are_the_ledgers(self):
        for policy in ("stored", "checkpoint", "reversible"):
            forward, _, summary = self.explain("--policy", policy)
            self.assertEqual(int(RECORDED.findall(forward)[-1][3]), summary[policy][0])
            self.assertGreaterEqual(summary[policy][1], max(int(m[3]) for m in RECORDED.findall(forward)))

    def test_depth(self):
        two, eight = (self.explain("--blocks", blocks)[2] for blocks in (2, 8))
        self.assertEqual(two["reversible"][:2], eight["reversible"][:2])
        self.assertGreater(eight["stored"][0], 2.5 * two["stored"][0])

    def test_element_type_and_size(self):
        f64, f32 = (self.explain("--dtype", dtype, "--size", 8) for dtype in ("f64", "f32"))
        self.assertEqual(REBUILT.findall(f32[1]), [("f32[2,8,8,8]", "4096", "< 1e-05")])
        self.assertEqual(FORGETS.findall(f64[0])[0][1], "8192")

    def test_checkpoints_are_exact(self):
        _, backward, summary = self.explain("--policy", "checkpoint")
        self.assertEqual({error for *_, error in REPLAYED.findall(backward) if error.strip()} - {"none"}, set())
        self.assertEqual(summary["checkpoint"][3], "none")

    def test_other_networks(self):
        forward, _, _ = self.explain("--network", "revnet164", "--channels", "2,2")
        self.assertIn("forgets f64[2,8,4,4]", forward)  # the first block widens, the second is reversible
        text = self.succeeds("explain", "--network", "resnet32", "--channels", "4,4")
        self.assertTrue(text.startswith("Policy stored\n"))

    def test_colours_on_a_terminal_alone(self):
        def on_a_terminal(**environment):
            try:
                ours, theirs = pty.openpty()
            except OSError:
                self.skipTest("there are no pseudo-terminals here (/dev/pts)")
            with os.fdopen(ours, "rb", buffering=0) as reader:
                process = subprocess.Popen([program.PROGRAM, "explain"], stdout=theirs, env={**os.environ, **environment})
                os.close(theirs)
                text = b""
                try:
                    while part := reader.read(4096):
                        text += part
                except OSError:  # the other side is closed
                    pass
                self.assertEqual(process.wait(), 0)
            return text.decode().replace("\r\n", "\n")

        plain = self.succeeds("explain")
        coloured = on_a_terminal()
        self.assertIn("\x1b[31m", coloured)
        self.assertEqual(re.sub(r"\x1b\[\d+m", "", coloured), plain)
        self.assertEqual(on_a_terminal(NO_COLOR="1"), plain)


program.cases.main("cli-explain")
