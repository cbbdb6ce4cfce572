"""Work that fails: exit status 1, and a line that says what was expected and what was found."""

import gzip
import struct
import subprocess

import program
from program import SMALL, log_of, write_idx, write_mnist


class Data(program.Case):
    def train_on(self, *arguments):
        return ["train", *SMALL, "--data", "mnist", "--data-dir", self.folder, "--out", self.folder / "run", "--steps", 1,
                "--quiet", *arguments]

    def test_missing_folder_and_file(self):
        self.fails(1, "must exist", "train", *SMALL, "--data", "cifar10", "--data-dir", self.folder / "no",
                   "--out", self.folder / "run")
        write_mnist(self.folder)
        (self.folder / "t10k-images-idx3-ubyte").unlink()
        self.fails(1, f"{self.folder}/t10k-images-idx3-ubyte", *self.train_on())

    def test_other_names_and_kinds_of_files(self):
        write_mnist(self.folder)
        self.succeeds(*self.train_on("--batch", 8))
        for path in list(self.folder.glob("*-ubyte")):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
        self.succeeds(*self.train_on("--batch", 8, "--resume"))
        images = self.folder / "train-images.idx3-ubyte"
        whole = images.read_bytes()
        for content, text in ((gzip.compress(whole), "got 0x1f8b0800; it looks like gzip-compressed; gunzip unpacks it\n"),
                              (b"<!DOCTYPE html>\n", "; it looks like an HTML page, perhaps of a failed download\n"),
                              (b"version https://git-lfs.github.com/spec/v1\n",
                               "; it looks like a Git LFS pointer; `git lfs pull` fetches the file itself\n")):
            images.write_bytes(content)
            self.fails(1, text, *self.train_on("--resume"))

    def test_truncated_and_oversized_file(self):
        write_mnist(self.folder)
        images = self.folder / "train-images-idx3-ubyte"
        whole = images.read_bytes()
        for content in (whole[:-3], whole + b"abc"):
            images.write_bytes(content)
            done = program.call(*self.train_on())
            self.assertEqual(done.returncode, 1)
            for part in (str(images), str(len(whole)), str(len(content))):
                self.assertIn(part, done.stderr)
            self.fails(1, "[mnist]", *self.train_on())

    def test_truncated_cifar(self):
        (self.folder / "data_batch_1.bin").write_bytes(bytes(100))
        self.fails(1, "data_batch_1.bin must be 30730000 bytes (10000 records of 3073), got 100", "train", *SMALL,
                   "--data", "cifar10", "--data-dir", self.folder, "--out", self.folder / "run")

    def test_labels_outside_the_classes(self):
        write_mnist(self.folder, label=lambda i: 10 if i == 7 else i % 10)
        self.fails(1, "label", *self.train_on())

    def test_a_demo_without_its_data(self):
        self.fails(1, "dataset-fashion-mnist", "demo", "--data-dir", self.folder / "no", "--out", self.folder / "demo")


class Weights(program.Case):
    def test_corrupt_header(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        whole = (run / "model.safetensors").read_bytes()
        bad = self.folder / "bad.safetensors"
        for content in (b"", b"short", struct.pack("<Q", 1 << 60) + whole[8:], whole[:8] + b"?" + whole[9:], whole[:-1], whole + b"x"):
            bad.write_bytes(content)
            self.fails(1, f"{bad} must be a safetensors file", "eval", "--weights", bad, "--data-dir", self.folder / "data")

    def test_files_of_other_kinds(self):
        bad = self.folder / "model.safetensors"
        for content, text in (
                (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer; `git lfs pull` fetches the file itself"),
                (b"<!DOCTYPE html>\n<html>404</html>\n", "an HTML page, perhaps of a failed download"),
                (gzip.compress(b"weights"), "gzip-compressed; gunzip unpacks it"),
                (b"PK\x03\x04" + bytes(100), "a ZIP archive, as torch.save writes it; save it with safetensors.torch.save_file"),
                (b"\x80\x02}q\x00(X\x05", "a Python pickle; save it with safetensors.torch.save_file")):
            bad.write_bytes(content)
            self.fails(1, f"; it looks like {text}\n", "eval", "--weights", bad)

    def test_missing(self):
        self.fails(1, "no.safetensors", "eval", "--weights", self.folder / "no.safetensors")

    def test_another_network(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        self.fails(1, "it lacks", "eval", "--weights", run / "model.safetensors", "--data-dir", self.folder / "data",
                   "--network", "tiny", "--channels", "4,4,8,8", "--blocks", "3,3,3")


class Work(program.Case):
    def test_budget(self):
        done = program.call("bench", "memory", "--network", "tiny", "--batch", 16, "--steps", 1, "--budget", "64MiB", "--policy", "stored",
                            "--blocks", "30,30,30")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Aretrace: \[")
        self.assertRegex(done.stderr, r"bytes +count +tag +operation +where\n")
        self.assertIn("activation", done.stderr)

    def test_loss_that_is_not_finite(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 2))
        model = (run / "model.safetensors").read_bytes()
        self.fails(1, "[train] the loss must be finite, got ", *self.train(self.folder / "nan", "--lr", "1e30", "--steps", 9))
        self.assertLess(len(log_of(self.folder / "nan")), 9)
        self.assertFalse((self.folder / "nan" / "model.safetensors").exists())
        self.assertEqual((run / "model.safetensors").read_bytes(), model)

    def test_a_folder_that_cannot_be(self):
        (self.folder / "file").write_text("")
        file, below = self.folder / "file", self.folder / "file" / "run"
        self.fails(1, f"[train] the folder {file} must be there or creatable, got: Not a directory\n",
                   *self.train(file, "--steps", 1))
        self.fails(1, f"[train] the folder {below} must be there or creatable, got: Not a directory\n",
                   *self.train(below, "--steps", 1))

    def test_a_demo_whose_folder_cannot_be_emptied(self):
        program.write_mnist(self.folder)
        below = self.folder / "train-images-idx3-ubyte" / "demo"
        self.fails(1, f"[train] the folder {below / 'run'} must be there or creatable, got: Not a directory\n",
                   "demo", "--data-dir", self.folder, "--out", below)
        log = self.folder / "demo" / "run" / "log.jsonl"
        (log / "mine").mkdir(parents=True)
        self.fails(1, f"[train] {log} must be removable, got: Directory not empty\n",
                   "demo", "--data-dir", self.folder, "--out", self.folder / "demo")

    def test_a_full_disk(self):
        run = self.folder / "run"
        self.fails(1, "checkpoint-000002.safetensors", *self.train(run, "--steps", 2), file_limit=4096)
        self.assertEqual(sorted(p.name for p in run.iterdir()), [".lock", "log.jsonl"])
        self.fails(1, "log.jsonl", *self.train(self.folder / "other", "--steps", 9), file_limit=100)
        # With room again, it goes on and ends as if nothing had been.
        self.succeeds(*self.train(run, "--steps", 2, "--resume"))
        self.succeeds(*self.train(self.folder / "whole", "--steps", 2))
        self.assertEqual((run / "model.safetensors").read_bytes(), (self.folder / "whole" / "model.safetensors").read_bytes())
        self.assertEqual((run / "log.jsonl").read_bytes(), (self.folder / "whole" / "log.jsonl").read_bytes())

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([program.PROGRAM, "info", "--network", "tiny"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "retrace: [retrace] the output must be writable, but it was not\n")

    def test_checkpoints_that_lack_numbers(self):
        run = self.folder / "run"
        command = self.train(run, "--steps", 2, "--checkpoint-every", 1)
        self.succeeds(*command)
        newest = run / "checkpoint-000002.safetensors"
        whole = newest.read_bytes()
        for change, text in (({"checkpoint.step": None}, "[weights] the file's metadata must have 'checkpoint.step', got none\n"),
                             ({"checkpoint.step": "two"},
                              "[weights] the file's metadata must have a number as 'checkpoint.step', got 'two'\n")):
            newest.write_bytes(whole)
            program.write_metadata(newest, newest, change | {"checkpoint.crc32": None})
            done = program.call(*command, "--resume")
            self.assertEqual((done.returncode, done.stderr), (0, f"retrace: passing over a checkpoint: {text}"))

    def test_damaged_checkpoint(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 6, "--checkpoint-every", 2))
        model, log = ((run / name).read_bytes() for name in ("model.safetensors", "log.jsonl"))
        newest = run / "checkpoint-000006.safetensors"
        newest.write_bytes(newest.read_bytes()[:-100])
        with open(run / "log.jsonl", "a") as file:
            file.write('{"step":7,"lo')
        self.succeeds(*self.train(run, "--steps", 6, "--checkpoint-every", 2, "--resume"))
        self.assertEqual((run / "model.safetensors").read_bytes(), model)
        self.assertEqual((run / "log.jsonl").read_bytes(), log)


program.cases.main("cli-errors")
