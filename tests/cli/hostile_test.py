"""Files that were made to do harm: each ends in one printable line, at once."""

import json
import os
import struct

import program


class Hostile(program.Case):
    def weights(self, **metadata):
        """Weights of a training, with other metadata."""
        run = self.folder / "run"
        if not run.exists():
            self.succeeds(*self.train(run, "--steps", 1))
        hostile = self.folder / "hostile.safetensors"
        program.write_metadata(run / "model.safetensors", hostile, metadata)
        return ["eval", "--weights", hostile, "--data-dir", self.folder / "data"]

    def recipes(self, text):
        path = self.folder / "recipes.json"
        path.write_text(text)
        return ["recipes", "--recipes", path]

    def test_recipes_nested_deep(self):
        for text in ('{"a": {"lr": ' + "[" * 80_000, '{"a": {"lr": ' + "[" * 80_000 + "]" * 80_000 + "}}"):
            self.fails(1, "recipes.json must hold recipes in JSON, but it must not nest deeper than 4 levels\n", *self.recipes(text))

    def test_recipes_that_can_be_read_in_two_ways(self):
        self.fails(1, 'but it must have each key once, got "a" twice\n', *self.recipes('{"a": {}, "a": {}}'))
        self.fails(1, 'but it must have each key once, got "lr" twice\n', *self.recipes('{"a": {"lr": 1, "lr": 2}}'))
        self.fails(1, "but it must not begin with a byte order mark\n", *self.recipes("\ufeff{}"))

    def test_a_long_line_of_bases(self):
        line = {f"r{i}": {"base": f"r{i + 1}"} for i in range(66)} | {"r66": {}}
        self.fails(2, "[recipe] a recipe may have at most 64 bases above it, and 'r0' has more\n", *self.recipes(json.dumps(line)))

    def test_names_do_not_reach_the_terminal_raw(self):
        name = "a\n\x1b[31m\u009b"
        shown = r"a\n\x1b[31m\u009b"
        self.fails(1, f"'{shown}' is no JSON object\n", *self.recipes(json.dumps({name: 1})))
        self.assertIn(f"{shown}: --lr=0.5\n", self.succeeds(*self.recipes(json.dumps({name: {"lr": 0.5}}))))
        self.fails(2, f"got '{shown}'\n", *self.weights(network=name))
        self.fails(1, f"got '{shown}'\n", *self.weights(names=name))

    def test_a_network_larger_than_its_file(self):
        for metadata in ({"blocks": "100000,2,2"}, {"channels": "4,4,8,100000"}, {"classes": "1000000"}):
            self.fails(1, " parameters of the network in its metadata, got ", *self.weights(**metadata))
        self.fails(1, "the network must have at most 2^59 parameters", *self.weights(blocks="9223372036854775807,2,2"))

    def test_metadata_that_is_none_of_ours(self):
        self.fails(1, "[weights] the file's metadata must have retrace or memcnn as 'names', got 'zzz'\n", *self.weights(names="zzz"))

    def test_a_step_that_no_run_reaches(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        checkpoint = run / "checkpoint-000001.safetensors"
        program.write_metadata(checkpoint, checkpoint, {"checkpoint.step": "-1", "checkpoint.crc32": None})
        arguments = [argument for argument in self.train(run, "--steps", 2, "--resume") if argument != "--quiet"]
        done = program.call(*arguments)
        self.assertIn("the file's metadata must have 'checkpoint.step' of at least 0, got -1", done.stdout + done.stderr)

    def test_a_fifo_in_the_place_of_a_file(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        checkpoint = run / "checkpoint-000009.safetensors"
        os.mkfifo(checkpoint)
        self.fails(1, f"{checkpoint} must be a regular file\n", *self.train(run, "--steps", 2, "--resume"))

    def test_a_header_of_many_entries(self):
        entries = {f"w{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(300_000)}
        text = json.dumps(entries).encode()
        path = self.folder / "many.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(len(entries)))
        self.fails(2, "--network must be given", "eval", "--weights", path)


program.cases.main("cli-hostile")
