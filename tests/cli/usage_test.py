"""Wrong use: exit status 2 and one line that says what is wrong, before any work."""

import program
from program import SMALL

COMMANDS = (["train"], ["eval"], ["bench", "memory"], ["check"], ["info"], ["step"], ["recipes"], ["explain"], ["demo"])
NETWORKS = "resnet32, resnet110, resnet164, revnet38, revnet110, revnet164, tiny"
DATA_SETS = "cifar10, cifar100, mnist, fashion-mnist, synthetic"


class Usage(program.Case):
    def test_help(self):
        self.assertIn("retrace demo", self.succeeds("--help"))
        for command in COMMANDS:
            text = self.succeeds(*command, "--help")
            if command != ["demo"]:
                self.assertIn("Example", text)

    def test_no_command(self):
        self.fails(2, "[command line] A subcommand is required")
        self.fails(2, "[command line]", "bench")

    def test_unknown_option(self):
        self.fails(2, "--colour", "info", "--colour")
        self.fails(2, "these were not expected: conjure", "conjure")

    def test_unknown_network(self):
        text = f"[network] the name must be one of {NETWORKS}, got 'revnet39'"
        for command in (["bench", "memory"], ["check"], ["info"], ["explain"], ["train", "--out", self.folder / "run"]):
            self.fails(2, text, *command, "--network", "revnet39")
        self.assertFalse((self.folder / "run").exists())

    def test_unknown_data_set(self):
        text = f"[data] the name must be one of {DATA_SETS}, got 'cifar11'"
        for command in (["bench", "memory"], ["check"], ["info"], ["train", "--out", self.folder / "run"]):
            self.fails(2, text, *command, "--data", "cifar11")

    def test_no_folder_for_the_data(self):
        self.fails(2, "the folder of the data must be given", "train", "--data", "cifar10", "--out", self.folder / "run")

    def test_devices(self):
        text = "[device] the name must be cpu, cuda or cuda:N, got 'gpu'"
        for command in (["bench", "memory"], ["check"], ["train", "--out", self.folder / "run"]):
            self.fails(2, text, *command, *SMALL, "--device", "gpu")
            # a build without CUDA, a machine without a driver or a GPU, or a GPU with that number
            self.fails(2, "[cuda] ", *command, *SMALL, "--device", "cuda:4711")
        self.assertFalse((self.folder / "run").exists())
        self.succeeds("bench", "memory", *SMALL, "--batch", 2, "--steps", 1, "--policy", "stored", "--device", "cpu")

    def test_networks_that_cannot_be(self):
        self.fails(2, "channels must list the stem's and each stage's", "info", "--blocks", "3,3")
        self.fails(2, "at least 1, got 3,0,3", "info", "--blocks", "3,0,3")
        self.fails(2, "even number of channels", "info", "--channels", "5,5,8,8")
        self.fails(2, "probability must be in [0,1)", "info", "--dropout", "1")
        for command in (["bench", "memory"], ["explain"]):
            self.fails(2, "policy reversible needs", *command, "--network", "resnet32", "--policy", "reversible")

    def test_values_out_of_range(self):
        self.fails(2, "--dtype", "check", "--dtype", "f16")
        self.fails(2, "--conv", "check", "--conv", "fft")
        self.fails(2, "--policy", "check", "--policy", "guess")
        self.fails(2, "--batch", "bench", "memory", "--batch", "0")
        self.fails(2, "--threads", "bench", "memory", "--threads", "0")
        self.fails(2, "--size", "explain", "--size", "0")
        self.fails(2, "--steps", *self.train(self.folder / "run", "--steps", "-1"))
        self.fails(2, "lr must be", *self.train(self.folder / "run", "--lr", "-1"))
        self.fails(2, "[optimizer] adam takes no --momentum, got 1\n",
                   *self.train(self.folder / "a", "--optimizer", "adam", "--momentum", "1"))
        self.fails(2, "[optimizer] adamw takes no --momentum, got 0.5\n",
                   *self.train(self.folder / "a", "--optimizer", "adamw", "--momentum", "0.5"))
        self.fails(2, "[optimizer] --nesterov goes with sgd, got rmsprop\n",
                   *self.train(self.folder / "a", "--optimizer", "rmsprop", "--nesterov"))

    def test_steps_and_epochs(self):
        self.fails(2, "excludes", *self.train(self.folder / "run", "--steps", "1", "--epochs", "1"))

    def test_autocast(self):
        run = self.folder / "run"
        self.fails(2, "[train] --autocast bf16 must go with --dtype f32, got f64\n",
                   *self.train(run, "--steps", 1, "--autocast", "bf16", "--dtype", "f64"))
        self.fails(2, "--autocast", *self.train(run, "--steps", 1, "--autocast", "f8"))
        self.succeeds(*self.train(run, "--steps", 1, "--autocast", "bf16"))
        self.fails(2, "autocast was 'bf16' and is 'none'", *self.train(run, "--steps", 2, "--resume"))

    def test_no_output_folder(self):
        self.fails(2, "--out", "train", *SMALL)

    def test_a_folder_with_a_run(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        log = (run / "log.jsonl").read_bytes()
        self.fails(2, f"[train] --out must be a folder without a run, but {run} holds one; go on with it (--resume), remove "
                      "it, or give another folder\n", *self.train(run, "--steps", 1))
        self.assertEqual((run / "log.jsonl").read_bytes(), log)

    def test_resume_with_other_options(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 2))
        newest = run / "checkpoint-000002.safetensors"
        self.fails(2, f"[train] a run must go on with the options that it began with, but in {newest} lr was '0.1' and is '0.2'\n",
                   *self.train(run, "--steps", 4, "--lr", 0.2, "--resume"))
        self.fails(2, "seed was '0' and is '7'", *self.train(run, "--steps", 4, "--seed", 7, "--resume"))
        self.fails(2, f"[train] the run must not be past its last step 1, but {newest} is of step 2\n",
                   *self.train(run, "--steps", 1, "--resume"))

    def test_weights_that_do_not_tell(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        silent = self.folder / "silent.safetensors"
        program.write_metadata(run / "model.safetensors", silent, None)
        self.fails(2, f"[eval] --network must be given, because {silent} does not tell\n", "eval", "--weights", silent)
        self.fails(2, f"[eval] --data must be given, because {silent} does not tell\n",
                   "eval", "--weights", silent, "--network", "tiny")

    def test_weights_for_other_images(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--steps", 1))
        self.fails(2, "[eval] the network takes 1 channels and knows 10 classes, but the data set has 3 and 10\n",
                   "eval", "--weights", run / "model.safetensors", "--data", "synthetic")


program.cases.main("cli-usage")
