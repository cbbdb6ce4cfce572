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
        self.fails(2, "even number of channels", "info", "--channels", "5,5,8,8")
        for command in (["bench", "memory"], ["explain"]):
            self.fails(2, "policy reversible needs", *command, "--network", "resnet32", "--policy", "reversible")

    def test_values_out_of_range(self):
        self.fails(2, "--dtype", "check", "--dtype", "f16")
        self.fails(2, "--conv", "check", "--conv", "fft")
        self.fails(2, "--policy", "check", "--policy", "guess")
        self.fails(2, "--batch", "bench", "memory", "--batch", "0")
        self.fails(2, "--threads", "bench", "memory", "--threads", "0")
        self.fails(2, "--size", "explain", "--size", "0")
        self.fails(2, "[optimizer] adam takes no --momentum, got 1\n",
                   *self.train(self.folder / "a", "--optimizer", "adam", "--momentum", "1"))
        self.fails(2, "[optimizer] adamw takes no --momentum, got 0.5\n",
                   *self.train(self.folder / "a", "--optimizer", "adamw", "--momentum", "0.5"))
        self.fails(2, "[optimizer] --nesterov goes with sgd, got rmsprop\n",
                   *self.train(self.folder / "a", "--optimizer", "rmsprop", "--nesterov"))

    def test_numbers_out_of_range(self):
        run = self.folder / "run"
        for option, value, text in (
                ("steps", "0", "must be at least 1, got 0"),
                ("steps", "-1", "must be at least 1, got -1"),
                ("steps", "1.5", "must be a whole number at least 1, got '1.5'"),
                ("batch", "0", "must be at least 1, got 0"),
                ("batch", "abc", "must be a whole number at least 1, got 'abc'"),
                ("batch", "9223372036854775808", "must be a whole number at least 1, got '9223372036854775808'"),
                ("seed", "-1", "must be a whole number in [0,18446744073709551615], got '-1'"),
                ("seed", "18446744073709551616", "must be a whole number in [0,18446744073709551615], got '18446744073709551616'"),
                ("threads", "4097", "must be in [1,4096], got 4097"),
                ("dropout", "nan", "must be in [0,1), got nan"),
                ("dropout", "1", "must be in [0,1), got 1"),
                ("lr", "-1", "must be at least 0, got -1"),
                ("lr", "nan", "must be at least 0, got nan"),
                ("lr", "inf", "must be finite, got inf"),
                ("lr", "1e400", "must be a number at least 0, got '1e400'"),
                ("momentum", "inf", "must be finite, got inf"),
                ("weight-decay", "nan", "must be at least 0, got nan"),
                ("lr-decay", "inf", "must be finite, got inf"),
                ("lr-steps", "5,-1", "must be at least 0, got -1"),
                ("warmup", "-1", "must be at least 0, got -1"),
                ("blocks", "2,0,2", "must be at least 1, got 0"),
                ("pad", "-1", "must be at least 0, got -1"),
                ("checkpoint-every", "0", "must be at least 1, got 0")):
            self.fails(2, f"[command line] --{option}: {text} (see retrace train --help)\n", *self.train(run, f"--{option}", value))
        self.assertFalse(run.exists())
        self.fails(2, "[command line] --lr: must be finite, got inf (see retrace check --help)\n", "check", "--lr", "inf")

    def test_the_help_states_the_ranges(self):
        text = " ".join(self.succeeds("train", "--help").split())
        for part in ("images in a batch, at least 1", "probability, in [0,1), in front of", "learning rate, at least 0 (default"):
            self.assertIn(part, text)

    def test_a_batch_larger_than_the_data(self):
        command = self.train(self.folder / "run", "--steps", 1)
        batch = command.index("--batch") + 1
        command[batch] = 41
        self.fails(2, "[train] --batch must be at most 40, the training images of mnist, got 41\n", *command)
        self.assertFalse((self.folder / "run").exists())
        command[batch] = 40
        self.succeeds(*command)

    def test_sizes(self):
        run = self.folder / "run"
        for value in ("abc", "1.5MB", "-1", "10XB", "10000000TB", "MB"):
            self.fails(2, f"[command line] --budget: must be a whole number of bytes below 2^63, as 64MB (10^6) or 64MiB (2^20), got '{value}' "
                          "(see retrace train --help)\n", *self.train(run, f"--budget={value}"))
        for value, size in (("10MB", 10_000_000), ("10MiB", 10 * 2**20), ("10 mib", 10 * 2**20), ("9000kB", 9_000_000)):
            done = program.call("bench", "memory", "--network", "tiny", "--batch", 200, "--steps", 1, "--policy", "stored",
                                "--budget", value.replace(" ", ""))
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{size / 2**20:.1f} MiB", done.stderr)

    def test_words_that_are_meant(self):
        for text, arguments in (
                ("these were not expected: tran; did you mean train? (see retrace --help)", ["tran"]),
                ("these were not expected: --bathc 5; did you mean --batch? (see retrace train --help)", ["train", "--out", "x", "--bathc", "5"]),
                ("these were not expected: --bathc=5; did you mean --batch? (see retrace train --help)", ["train", "--out", "x", "--bathc=5"]),
                ("these were not expected: memori; did you mean memory? (see retrace bench --help)", ["bench", "memori"]),
                ("--policy: must be one of auto, stored, checkpoint, reversible, reversible-masks, got 'stord' (did you mean 'stored'?) "
                 "(see retrace check --help)", ["check", "--policy", "stord"]),
                ("--optimizer: must be one of sgd, adam, adamw, rmsprop, got 'adma' (did you mean 'adam'?) (see retrace train --help)",
                 ["train", "--out", "x", "--optimizer", "adma"])):
            self.fails(2, f"[command line] {text}\n", *arguments)
        self.fails(2, "got 'revnet39' (did you mean 'revnet38'?)\n", "info", "--network", "revnet39")
        self.fails(2, "got 'imagenet'\n", "info", "--data", "imagenet")
        self.fails(2, "got 'cifar-10' (did you mean 'cifar10'?)\n", "info", "--data", "cifar-10")

    def test_help_and_version(self):
        self.assertRegex(self.succeeds("--version"), r"\Aretrace \d+\.\d+\.\d+\n\Z")
        self.assertEqual(self.succeeds("help"), self.succeeds("--help"))
        for command in COMMANDS:
            self.assertEqual(self.succeeds("help", *command), self.succeeds(*command, "--help"))
        self.fails(2, "[command line] these were not expected: trian; did you mean train? (see retrace --help)\n", "help", "trian")

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
