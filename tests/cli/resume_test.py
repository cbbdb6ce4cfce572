"""A training that is killed again and again ends with the weights and the log of one that is not."""

import random
import signal
import subprocess
import time

import program
from program import SMALL

KILLS = 20
STEPS = 60


class Resume(program.Case):
    def command(self, out):
        return [program.PROGRAM, "train", *SMALL, "--data", "synthetic", "--batch", "32", "--steps", str(STEPS), "--seed", "3",
                "--checkpoint-every", "3", "--eval-every", "20", "--optimizer", "adam", "--dropout", "0.1", "--pad", "2",
                "--flip", "--quiet", "--out", str(out), "--resume"]

    def start(self, out):
        return subprocess.Popen(self.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self, out):
        process = self.start(out)
        self.assertEqual(process.wait(timeout=120), 0, process.stderr.read())
        process.stderr.close()

    def kill(self, process):
        """True when it was still running."""
        process.send_signal(signal.SIGKILL)
        status = process.wait()
        process.stderr.close()
        self.assertIn(status, (0, -signal.SIGKILL))
        return status != 0

    def assert_same(self, out, reference):
        for name in ("model.safetensors", "log.jsonl"):
            self.assertEqual((out / name).read_bytes(), (reference / name).read_bytes(), name)

    def test_killed_at_random_moments_and_inside_a_checkpoint(self):
        reference = self.folder / "reference"
        begin = time.monotonic()
        self.finish(reference)
        seconds = time.monotonic() - begin

        moments = random.Random(20)
        killed = runs = 0
        out = self.folder / "run0"
        while killed < KILLS:
            process = self.start(out)
            time.sleep(moments.uniform(0, 0.6 * seconds))
            if self.kill(process):
                killed += 1
            else:  # it came to its end: compare, and begin another one
                self.assert_same(out, reference)
                runs += 1
                out = self.folder / f"run{runs}"
        self.finish(out)
        self.assert_same(out, reference)
        print(f"killed {killed} times in {runs + 1} runs")

    def test_killed_while_a_checkpoint_is_written(self):
        reference, out = self.folder / "reference", self.folder / "run"
        self.finish(reference)
        inside = 0
        for _ in range(40):
            process = self.start(out)
            while process.poll() is None and not any(out.glob("checkpoint-*.tmp")):
                pass
            self.kill(process)
            if any(out.glob("checkpoint-*.tmp")):
                inside += 1
                break
        self.assertGreater(inside, 0, "no kill met the writing of a checkpoint")
        self.finish(out)
        self.assert_same(out, reference)
        self.assertFalse(any(out.glob("*.tmp")))


program.cases.main("cli-resume")
