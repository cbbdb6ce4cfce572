"""Runs that do not come to their end: divergence, signals, a second run in the folder, damaged checkpoints."""

import json
import random
import shutil
import signal
import struct
import subprocess
import time

import program
from program import SMALL, log_of

STEPS = 6


def tensor_begin(content, name):
    """Where the bytes of a tensor begin in a safetensors file."""
    end = 8 + struct.unpack_from("<Q", content)[0]
    return end + json.loads(content[8:end])[name]["data_offsets"][0]


class Diverged(program.Case):
    def test_the_last_step(self):
        run = self.folder / "run"
        self.fails(1, "[train] the test loss must be finite, got nan after step 1; there is no checkpoint yet; begin again with a "
                      "lower --lr\n", *self.train(run, "--steps", 1, "--lr", "1e38"))
        self.assertEqual(sorted(p.name for p in run.iterdir()), [".lock", "log.jsonl"])

    def test_parameters(self):
        run = self.folder / "run"
        self.fails(1, "[train] the parameters must be finite, but after step 1 conv1.weight is not; ",
                   *self.train(run, "--steps", 9, "--lr", "1e300"))
        self.assertEqual(log_of(run), [])

    def test_the_last_good_checkpoint_is_kept_and_named(self):
        run = self.folder / "run"
        command = self.train(run, "--steps", 6, "--checkpoint-every", 1, "--eval-every", 100, "--lr-steps", 3, "--lr-decay", "1e39")
        good = run / "checkpoint-000003.safetensors"
        text = (f"[train] step 4 diverged: the loss on the first test images is nan; the last good checkpoint is {good}; begin another "
                "run from its weights (--weights) with a lower --lr\n")
        self.fails(1, text, *command)
        self.fails(1, text, *command, "--resume")
        self.assertEqual(sorted(p.name for p in run.glob("*.safetensors")),
                         ["checkpoint-000002.safetensors", "checkpoint-000003.safetensors"])
        self.succeeds(*self.train(self.folder / "other", "--steps", 2, "--lr", 0.01, "--weights", good))

    def test_a_poisoned_checkpoint_is_passed_over(self):
        whole = self.folder / "whole"
        command = ["--steps", STEPS, "--checkpoint-every", 2, "--optimizer", "adam"]
        self.succeeds(*self.train(whole, *command))
        for name in ("model.conv1.weight", "optimizer.exp_avg_sq.0"):
            run = self.folder / name
            shutil.copytree(whole, run)
            newest = run / "checkpoint-000006.safetensors"
            content = bytearray(newest.read_bytes())
            begin = tensor_begin(content, name)
            content[begin:begin + 4] = struct.pack("<f", float("inf"))
            newest.write_bytes(content)
            program.write_metadata(newest, newest, {"checkpoint.crc32": None})  # as a version without checksums wrote it
            done = program.call(*self.train(run, *command, "--resume"))
            self.assertEqual((done.returncode, done.stderr),
                             (0, f"retrace: passing over a checkpoint: [train] {newest} is of a training that diverged: {name} is not "
                                 "finite\n"))
            self.assertEqual((run / "model.safetensors").read_bytes(), (whole / "model.safetensors").read_bytes())


class Signals(program.Case):
    def start(self, out, *arguments, **options):
        """A training that has done its first step."""
        process = subprocess.Popen([program.PROGRAM, "train", "--data", "synthetic", "--quiet", "--threads", "1", "--out", str(out),
                                    *map(str, arguments)], stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        log = out / "log.jsonl"
        while not log.exists() or not log.read_text():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        return process

    def test_a_checkpoint_at_the_end_of_the_step(self):
        command = [*SMALL[:-2], "--batch", 16, "--eval-every", 1_000_000, "--checkpoint-every", 1_000_000]
        for name, number, status in (("SIGINT", signal.SIGINT, 130), ("SIGTERM", signal.SIGTERM, 143)):
            run, whole = self.folder / name, self.folder / f"{name}-whole"
            process = self.start(run, *command, "--steps", 1_000_000)
            process.send_signal(number)
            text = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, status, text)
            step = len(log_of(run))
            checkpoint = run / f"checkpoint-{step:06}.safetensors"
            self.assertTrue(checkpoint.exists())
            self.assertIn(f"retrace: [train] stopped by {name} after step {step}; the same command with --resume goes on from "
                          f"{checkpoint}\n", text)
            self.assertFalse((run / "model.safetensors").exists())
            for out, more in ((run, ["--resume"]), (whole, [])):
                self.succeeds("train", "--data", "synthetic", "--quiet", "--out", out, *command, "--steps", step + 3, *more)
            for file in ("model.safetensors", "log.jsonl"):
                self.assertEqual((run / file).read_bytes(), (whole / file).read_bytes())

    def test_a_second_one_ends_at_once(self):
        run = self.folder / "run"
        process = self.start(run, "--network", "revnet38", "--batch", 100, "--steps", 3)  # a second each
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stderr.readline(), "\n")
        self.assertIn("a second signal ends the program at once", process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), -signal.SIGTERM)
        self.assertEqual(list(run.glob("*.safetensors")), [])

    def test_an_ignored_signal_stays_ignored(self):
        run = self.folder / "run"
        process = self.start(run, *SMALL[:-2], "--batch", 16, "--steps", 100,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual(len(log_of(run)), 100)

    def test_a_lock_that_cannot_be_made(self):
        run = self.folder / "run"
        (run / ".lock").mkdir(parents=True)
        self.fails(1, f"[train] the folder {run} must be writable, but making its lock failed: Is a directory\n",
                   *self.train(run, "--steps", 1))

    def test_a_folder_has_one_run_at_a_time(self):
        run = self.folder / "run"
        command = [*SMALL[:-2], "--batch", 16, "--steps", 100_000, "--checkpoint-every", 10]
        first = self.start(run, *command)
        text = f"[train] another run is writing into {run}; wait until it ends, or give another folder\n"
        for more in ([], ["--resume"], ["--resume", "--seed", 7]):
            self.fails(1, text, "train", "--data", "synthetic", "--quiet", "--out", run, *command, *more)
        while not any(run.glob("*.safetensors")):
            time.sleep(0.01)
        first.kill()
        first.wait()
        steps = max(int(path.stem.split("-")[1]) for path in run.glob("checkpoint-*.safetensors"))
        self.succeeds("train", "--data", "synthetic", "--quiet", "--out", run, *command[:-4], "--steps", steps + 1, "--resume")


class Damaged(program.Case):
    def setUp(self):
        super().setUp()
        self.whole = self.folder / "whole"
        self.succeeds(*self.train(self.whole))

    def train(self, out, *arguments):
        return super().train(out, "--steps", STEPS, "--checkpoint-every", 2, *arguments)

    def copy(self):
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.whole, run)
        return run, run / "checkpoint-000006.safetensors", run / "checkpoint-000004.safetensors"

    def assert_whole(self, run):
        for name in ("model.safetensors", "log.jsonl"):
            self.assertEqual((run / name).read_bytes(), (self.whole / name).read_bytes(), name)

    def test_all_of_them(self):
        run, *checkpoints = self.copy()
        for path in checkpoints:
            path.write_bytes(path.read_bytes()[:-100])
        done = program.call(*self.train(run, "--resume"))
        self.assertEqual(done.returncode, 1)
        *passed, refusal = done.stderr.splitlines()
        for path, line in zip(checkpoints, passed, strict=True):
            self.assertIn(f"retrace: passing over a checkpoint: [load_tensors] {path} must be a safetensors file", line)
        self.assertEqual(refusal, f"retrace: [train] {run} must hold a checkpoint to go on from, got 2 that cannot be used and final "
                                  "weights; remove the folder to begin again, or give another one")
        self.assert_whole(run)

    def test_no_checkpoint_beside_final_weights(self):
        run, *checkpoints = self.copy()
        for path in checkpoints:
            path.unlink()
        self.fails(1, "must hold a checkpoint to go on from, got 0", *self.train(run, "--resume"))
        self.assert_whole(run)

    def test_a_flipped_bit(self):
        places = random.Random(15)
        for _ in range(12):
            run, newest, _ = self.copy()
            content = bytearray(newest.read_bytes())
            content[places.randrange(len(content))] ^= 1 << places.randrange(8)
            newest.write_bytes(content)
            done = program.call(*self.train(run, "--resume"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"passing over a checkpoint: [", done.stderr)
            self.assert_whole(run)

    def test_a_flipped_bit_of_a_weight(self):
        run, newest, _ = self.copy()
        content = bytearray(newest.read_bytes())
        content[tensor_begin(content, "model.fc.weight")] ^= 1  # the last digit of a number
        newest.write_bytes(content)
        text = f"[train] {newest} must have the checksum "
        done = program.call(*self.train(run, "--resume"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"retrace: passing over a checkpoint: {text}", done.stderr)
        self.assertIn(": its content has changed\n", done.stderr)
        self.assert_whole(run)
        run, newest, _ = self.copy()
        newest.write_bytes(content)
        self.fails(1, text, "eval", "--weights", newest, "--data-dir", self.folder / "data")

    def test_another_step_in_the_metadata(self):
        run, newest, _ = self.copy()
        program.write_metadata(newest, newest, {"checkpoint.step": "5"})
        done = program.call(*self.train(run, "--resume"))
        self.assertIn("must have the checksum", done.stderr)
        self.assert_whole(run)

    def test_a_checkpoint_without_a_checksum(self):
        run, newest, _ = self.copy()
        program.write_metadata(newest, newest, {"checkpoint.crc32": None})
        done = program.call(*self.train(run, "--resume"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assert_whole(run)

    def test_a_log_that_lacks_lines(self):
        run, newest, _ = self.copy()
        lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
        (run / "log.jsonl").write_text("".join(lines[:2] + lines[4:]))
        done = program.call(*self.train(run, "--resume"))
        self.assertEqual((done.returncode, done.stderr),
                         (0, f"retrace: {run / 'log.jsonl'} holds 4 of the 6 steps before\n"))
        self.assertEqual([line["step"] for line in log_of(run)], [1, 2, 5, 6])

    def test_a_checkpoint_is_a_file_of_weights_too(self):
        run, newest, _ = self.copy()
        results = [self.json("eval", "--weights", path, "--data-dir", self.folder / "data") for path in (newest, run / "model.safetensors")]
        for result in results:
            del result["weights"]
        self.assertEqual(results[0], results[1])


program.cases.main("cli-stopping")
