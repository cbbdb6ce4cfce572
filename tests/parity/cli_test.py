"""Rows that are promises of the program: `class P56(program.Case)` has row P56's cases.

Usage: cli_test.py PROGRAM ROW
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import program  # noqa: E402
from program import log_of, read_safetensors  # noqa: E402

RECIPE = {"data": "cifar10", "batch": "100", "steps": "80000", "optimizer": "sgd", "lr": "0.1", "momentum": "0.9",
          "weight-decay": "0.0002", "lr-schedule": "steps", "lr-steps": "39999,59999", "lr-decay": "0.1", "pad": "2",
          "flip": "true"}
SIX = ("resnet32", "resnet110", "resnet164", "revnet38", "revnet110", "revnet164")


class P53(program.Case):
    """Recipes. MemCNN lowers the rate before its step 40000: --lr-steps are the last steps with a rate."""

    # What makes a recipe's network learn in milliseconds, on data of our own.
    SMALL = ("--data", "mnist", "--channels", "4,4,8,8", "--blocks", "1,1,1", "--threads", 1, "--quiet")

    def run_recipe(self, recipe, *arguments):
        """(the options that the run says it had, its log)."""
        out = self.folder / f"run{len(list(self.folder.glob('run*')))}"
        data = self.folder / "data"
        if not data.exists():
            data.mkdir()
            program.write_mnist(data, images=100)  # a batch of the recipes
        self.succeeds("train", "--recipe", recipe, "--recipes", self.write(), "--data-dir", self.folder / "data", *self.SMALL,
                      *arguments, "--out", out)
        return read_safetensors(out / "model.safetensors")[1], log_of(out)

    def write(self):
        path = self.folder / "recipes.json"
        path.write_text(json.dumps({"short": {"base": "revnet38", "batch": 10, "steps": 3, "lr-steps": [1, 2]},
                                    "shorter": {"base": "short", "steps": 1},
                                    "circle": {"base": "round"}, "round": {"base": "circle"}, "lost": {"base": "revnet39"}}))
        return path

    def test_the_six(self):
        self.assertEqual(self.json("recipes"), {name: {"network": name, **RECIPE} for name in SIX})

    def test_they_train(self):
        for name in SIX:
            options, log = self.run_recipe(name, "--steps", 1)
            expected = {"network": name, **RECIPE, "flip": "yes", "data": "mnist"}
            expected.pop("steps")
            self.assertEqual({key: options[key] for key in expected}, expected)
            self.assertEqual([line["lr"] for line in log], [0.1])
            # revnet164 with one block a stage has none that could be reversed.
            self.assertEqual(options["policy"], "reversible" if name in ("revnet38", "revnet110") else "stored")

    def test_the_rate_falls_behind_its_steps(self):
        rates = [line["lr"] for line in self.run_recipe("short")[1]]
        for rate, expected in zip(rates, (0.1, 0.01, 0.001), strict=True):
            self.assertAlmostEqual(rate, expected, delta=1e-15)

    def test_every_value_can_be_overridden(self):
        options, log = self.run_recipe(
            "revnet38", "--network", "resnet32", "--batch", 20, "--steps", 2, "--optimizer", "rmsprop", "--lr", 0.5, "--momentum", 0.25,
            "--weight-decay", 0.125, "--lr-schedule", "linear", "--lr-steps", "7,8", "--lr-decay", 0.75, "--pad", 1, "--no-flip")
        self.assertEqual([line["lr"] for line in log], [0.5, 0.25])
        changed = {"network": "resnet32", "batch": "20", "optimizer": "rmsprop", "lr": "0.5", "momentum": "0.25",
                   "weight-decay": "0.125", "lr-schedule": "linear", "lr-steps": "7,8", "lr-decay": "0.75", "pad": "1", "flip": "no",
                   "data": "mnist"}
        self.assertEqual(set(changed) | {"steps"}, {"network", *RECIPE})
        self.assertEqual({key: options[key] for key in changed}, changed)

    def test_inheritance(self):
        options, log = self.run_recipe("shorter")
        self.assertEqual((options["network"], options["batch"], options["momentum"], len(log)), ("revnet38", "10", "0.9", 1))

    def test_cycles_and_unknown_names(self):
        known = ", ".join([*SIX, "short", "shorter", "circle", "round", "lost"])
        for name, text in (("circle", "no recipe may inherit from itself, got circle from round from circle"),
                           ("lost", f"the name must be one of {known}, got 'revnet39' (did you mean 'revnet38'?), the base of 'lost'"),
                           ("revnet39", f"the name must be one of {known}, got 'revnet39' (did you mean 'revnet38'?)")):
            self.fails(2, f"[recipe] {text}\n", "train", "--recipe", name, "--recipes", self.write(), "--out", self.folder / "no")
        self.assertFalse((self.folder / "no").exists())


class P54(program.Case):
    def test_a_nan_stops_the_training_and_names_its_step(self):
        run = self.folder / "run"
        done = program.call(*self.train(run, "--lr", "1e30", "--steps", 20))
        self.assertEqual(done.returncode, 1)
        finite = log_of(run)
        self.assertLess(len(finite), 19)
        self.assertRegex(done.stderr, rf"\Aretrace: \[train\] the loss must be finite, got (nan|inf) at step {len(finite) + 1}; ")
        self.assertFalse((run / "model.safetensors").exists())

    def test_the_first_step(self):
        broken, _ = self.folder / "broken.safetensors", self.succeeds(*self.train(self.folder / "run", "--steps", 1))
        tensors, _ = read_safetensors(self.folder / "run" / "model.safetensors")
        dtype, shape, numbers = tensors["fc.bias"]
        tensors["fc.bias"] = (dtype, shape, [float("nan"), *numbers[1:]])
        program.write_safetensors(broken, tensors)
        self.fails(1, "[train] the loss must be finite, got nan at step 1; there is no checkpoint yet",
                   *self.train(self.folder / "nan", "--steps", 3, "--weights", broken))


class P55(program.Case):
    STEPS = ("--checkpoint-every", 2, "--eval-every", 3, "--optimizer", "sgd", "--momentum", 0.9, "--dropout", 0.1, "--flip")

    def checkpoint(self, run, step):
        return run / f"checkpoint-{step:06}.safetensors"

    def test_resume_equals_an_uninterrupted_run(self):
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.succeeds(*self.train(whole, *self.STEPS, "--steps", 9))
        for steps in (3, 4, 8, 9):  # inside an epoch of 5 steps, and beyond it
            self.succeeds(*self.train(parts, *self.STEPS, "--steps", steps, "--resume"))
        # Weights, buffers, momentum and the generator's state, bit for bit.
        for name in (self.checkpoint(whole, 8).name, self.checkpoint(whole, 9).name, "model.safetensors"):
            self.assertEqual((parts / name).read_bytes(), (whole / name).read_bytes(), name)

    def test_what_a_checkpoint_holds(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, *self.STEPS, "--steps", 4))
        weights = read_safetensors(run / "model.safetensors")[0]
        saved, metadata = read_safetensors(self.checkpoint(run, 4))
        self.assertEqual({n.removeprefix("model."): t for n, t in saved.items() if n.startswith("model.")}, weights)
        self.assertEqual(metadata["checkpoint.step"], "4")
        momenta = [t for n, t in saved.items() if n.startswith("optimizer.") and "momentum" in n]
        parameters = [n for n in weights if n.endswith(("weight", "bias"))]
        self.assertEqual(sorted(t[1] for t in momenta), sorted(weights[n][1] for n in parameters))
        self.assertTrue(all(any(t[2]) for t in momenta))

    def test_the_newest_is_found(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, *self.STEPS, "--steps", 6))
        self.assertEqual(sorted(run.glob("checkpoint*")), [self.checkpoint(run, 4), self.checkpoint(run, 6)])
        loud = [a for a in self.train(run, *self.STEPS, "--steps", 8, "--resume") if a != "--quiet"]
        done = program.call(*loud)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"going on from {self.checkpoint(run, 6)}\n", done.stderr)
        self.assertEqual([line["step"] for line in log_of(run)], list(range(1, 9)))


class P56(program.Case):
    EVERY = ("--checkpoint-every", 2, "--eval-every", 2)

    def test_logs_append_across_resume(self):
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.succeeds(*self.train(whole, *self.EVERY, "--steps", 6))
        self.succeeds(*self.train(parts, *self.EVERY, "--steps", 4))
        before = (parts / "log.jsonl").read_text()
        self.succeeds(*self.train(parts, *self.EVERY, "--steps", 6, "--resume"))
        after = (parts / "log.jsonl").read_text()
        self.assertTrue(after.startswith(before))
        self.assertEqual(after, (whole / "log.jsonl").read_text())
        self.assertEqual([line["step"] for line in log_of(parts)], [1, 2, 3, 4, 5, 6])

    def test_what_they_hold(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, *self.EVERY, "--steps", 6, "--policy", "reversible"))
        log = log_of(run)
        for line in log:
            self.assertGreater(line["loss"], 0)
            self.assertIn(8 * line["accuracy"], range(9))  # of a batch of 8
            self.assertEqual("test_loss" in line, line["step"] % 2 == 0)
            self.assertEqual("test_accuracy" in line, line["step"] % 2 == 0)
        self.assertTrue(any(line["accuracy"] > 0 for line in log))
        judged = self.json("eval", "--weights", run / "model.safetensors", "--data-dir", self.folder / "data", "--batch", 8)
        self.assertEqual((log[-1]["test_loss"], log[-1]["test_accuracy"]), (judged["loss"], judged["accuracy"]))

    def test_activation_bytes(self):
        bytes_of = {}
        for policy in ("stored", "reversible"):
            run = self.folder / policy
            self.succeeds(*self.train(run, *self.EVERY, "--steps", 2, "--policy", policy))
            (bytes_of[policy],) = {(line["after_forward_bytes"], line["peak_bytes"]) for line in log_of(run)}
            measured = self.json("bench", "memory", *program.SMALL, "--data", "mnist", "--data-dir", self.folder / "data", "--batch", 8,
                                 "--steps", 1, "--policy", policy)["runs"][0]
            self.assertEqual(bytes_of[policy], (measured["after_forward_bytes"], measured["peak_bytes"]))
            self.assertLess(bytes_of[policy][0], bytes_of[policy][1])
        self.assertLess(bytes_of["reversible"][0], bytes_of["stored"][0])


program.cases.main("parity", only=sys.argv[2])
