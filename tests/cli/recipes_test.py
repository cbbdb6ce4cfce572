"""Recipes: named options of `train`, of which one can be made from another."""

import json

import program
from program import log_of, read_safetensors

BUILT_IN = ["resnet32", "resnet110", "resnet164", "revnet38", "revnet110", "revnet164"]
# What makes any network learn in milliseconds, on data of our own.
SMALL = {"channels": [4, 4, 8, 8], "blocks": [1, 1, 1], "data": "mnist", "batch": 8}


class Recipes(program.Case):
    def write(self, recipes):
        (self.folder / "recipes.json").write_text(recipes if isinstance(recipes, str) else json.dumps(recipes))

    def train_by(self, recipe, out, *arguments):
        self.train(out)  # writes the data
        return ["train", "--recipe", recipe, "--recipes", self.folder / "recipes.json", "--data-dir", self.folder / "data",
                "--threads", 1, "--quiet", "--out", out, *arguments]

    def options_of(self, out):
        return read_safetensors(out / "model.safetensors")[1]

    def refuses(self, text, recipe, status=2):
        self.fails(status, text, *self.train_by(recipe, self.folder / "run"))
        self.assertFalse((self.folder / "run").exists())


class Used(Recipes):
    def test_the_list(self):
        recipes = self.json("recipes")
        self.assertEqual(list(recipes), BUILT_IN)
        lines = self.succeeds("recipes").splitlines()
        self.assertEqual([line.split(":")[0] for line in lines], BUILT_IN)
        self.assertIn(" --weight-decay=0.0002", lines[0])
        self.write({"mine": {"base": "revnet38", "steps": 5}})
        recipes = self.json("recipes", "--recipes", self.folder / "recipes.json")
        self.assertEqual(list(recipes), [*BUILT_IN, "mine"])
        self.assertEqual((recipes["mine"]["steps"], recipes["mine"]["network"]), ("5", "revnet38"))

    def test_every_kind_of_value(self):
        self.write({"mine": {"base": "resnet32", **SMALL, "steps": 4, "lr-steps": [1, 3], "lr": 0.5, "lr-decay": 0.5, "flip": False,
                             "nesterov": True, "dtype": "f64", "policy": "checkpoint"}})
        run = self.folder / "run"
        self.succeeds(*self.train_by("mine", run))
        self.assertEqual([line["lr"] for line in log_of(run)], [0.5, 0.25, 0.25, 0.125])
        options = self.options_of(run)
        self.assertEqual([options[k] for k in ("network", "channels", "blocks", "flip", "nesterov", "dtype", "policy", "pad", "momentum")],
                         ["resnet32", "4,4,8,8", "1,1,1", "no", "yes", "f64", "checkpoint", "2", "0.9"])

    def test_the_command_line_comes_first(self):
        self.write({"mine": {"base": "revnet38", **SMALL, "steps": 9}})
        run = self.folder / "run"
        self.succeeds(*self.train_by("mine", run, "--steps", 2, "--lr", 0.25, "--no-flip", "--blocks", "2,1,1"))
        self.assertEqual([line["lr"] for line in log_of(run)], [0.25, 0.25])
        self.assertEqual([self.options_of(run)[k] for k in ("flip", "blocks", "batch")], ["no", "2,1,1", "8"])
        # 40 images in batches of 8: an epoch in the place of the recipe's steps
        self.succeeds(*self.train_by("mine", self.folder / "epoch", "--epochs", 1))
        self.assertEqual(len(log_of(self.folder / "epoch")), 5)

    def test_inheritance(self):
        self.write({"grandchild": {"base": "child", "batch": 10}, "child": {"base": "parent", "epochs": 1},
                    "parent": {"base": "revnet38", **SMALL, "steps": 9, "lr": 0.25}})
        run = self.folder / "run"
        self.succeeds(*self.train_by("grandchild", run))
        self.assertEqual([line["lr"] for line in log_of(run)], [0.25] * 4)  # an epoch, not the parent's 9 steps
        self.assertEqual([self.options_of(run)[k] for k in ("network", "batch")], ["revnet38", "10"])

    def test_a_file_comes_before_the_built_in_ones(self):
        self.write({"resnet32": {**SMALL, "network": "tiny", "steps": 1}})
        self.succeeds(*self.train_by("resnet32", self.folder / "run"))
        self.assertEqual(self.options_of(self.folder / "run")["network"], "tiny")
        recipes = self.json("recipes", "--recipes", self.folder / "recipes.json")
        self.assertEqual((list(recipes), recipes["resnet110"].get("lr")), (BUILT_IN, None))

    def test_resume(self):
        self.write({"mine": {"base": "revnet38", **SMALL, "steps": 4}})
        for steps in ("2", "4"):
            self.succeeds(*self.train_by("mine", self.folder / "run", "--steps", steps, "--resume"))
        self.succeeds(*self.train_by("mine", self.folder / "whole"))
        self.assertEqual(*((self.folder / run / "model.safetensors").read_bytes() for run in ("run", "whole")))


class Refused(Recipes):
    def test_unknown_names(self):
        self.write({"mine": {"base": "resnet33"}})
        known = ", ".join([*BUILT_IN, "mine"])
        self.refuses(f"[recipe] the name must be one of {known}, got 'other'\n", "other")
        self.refuses(f"[recipe] the name must be one of {known}, got 'resnet33' (did you mean 'resnet32'?), the base of 'mine'\n", "mine")
        self.fails(2, "the base of 'mine'", "recipes", "--recipes", self.folder / "recipes.json")

    def test_cycles(self):
        self.write({"a": {"base": "b"}, "b": {"base": "c"}, "c": {"base": "b"}, "self": {"base": "self"}})
        self.refuses("[recipe] no recipe may inherit from itself, got a from b from c from b\n", "a")
        self.refuses("[recipe] no recipe may inherit from itself, got self from self\n", "self")

    def test_options_that_are_none(self):
        self.write({"mine": {"learning-rate": 1}, "help": {"help": True}, "nested": {"recipe": "mine"}})
        for name, key in (("mine", "learning-rate"), ("help", "help"), ("nested", "recipe")):
            self.refuses(f"[recipe] a recipe must hold options of train, got '{key}'\n", name)

    def test_values_that_do_not_fit(self):
        self.write({"mine": {"batch": 0}, "other": {"lr": "fast"}})
        self.refuses("--batch", "mine")
        self.refuses("--lr", "other")

    def test_files_that_hold_none(self):
        file = self.folder / "recipes.json"
        for content, why in (("[]", "it is no JSON object"), ('{"a": 1}', "'a' is no JSON object"),
                             ('{"a": {"lr": null}}', "lr must be a string, a number, true, false, or a list of these, got null"),
                             ('{"a": {"lr": [[1]]}}', "lr must be a string, a number, true, false, or a list of these, got [[1]]")):
            self.write(content)
            self.refuses(f"[recipe] {file} must hold recipes in JSON, but {why}\n", "a", status=1)
        self.write("{")
        self.refuses(f"[recipe] {file} must hold recipes in JSON, but it must be JSON: ", "a", status=1)
        file.unlink()
        self.refuses("recipes.json", "a", status=1)


program.cases.main("cli-recipes")
