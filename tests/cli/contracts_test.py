"""What other programs may count on: the JSON that is printed and written, and what the numbers mean."""

import os

import program
from program import SMALL, log_of

RUN_FIELDS = {
    "network": str,
    "policy": str,
    "batch": int,
    "threads": int,
    "parameters": int,
    "after_forward_bytes": int,
    "peak_bytes": int,
    "step_seconds": float,
}


NAMED = {"resnet32": 466906, "resnet110": 1730714, "resnet164": 1704154,
         "revnet38": 573994, "revnet110": 1854890, "revnet164": 1983786}


class Bench(program.Case):
    def bench(self, *arguments):
        return self.json("bench", "memory", *SMALL, "--steps", 1, *arguments)["runs"]

    def test_fields(self):
        runs = self.bench("--batch", "4,6", "--policy", "stored,reversible")
        self.assertEqual([(r["batch"], r["policy"]) for r in runs],
                         [(4, "stored"), (4, "reversible"), (6, "stored"), (6, "reversible")])
        for run in runs:
            self.assertEqual({key: type(value) for key, value in run.items()}, RUN_FIELDS)
            self.assertEqual((run["network"], run["threads"]), ("tiny", 1))
            self.assertGreater(run["step_seconds"], 0)
        self.assertLess(runs[1]["after_forward_bytes"], runs[0]["after_forward_bytes"])
        self.assertLess(runs[1]["peak_bytes"], runs[0]["peak_bytes"])
        self.assertLess(runs[0]["after_forward_bytes"], runs[2]["after_forward_bytes"])

    def test_depth_costs_nothing(self):
        shallow, deep = (
            self.json("bench", "memory", "--network", "tiny", "--blocks", blocks, "--batch", 4, "--steps", 1, "--threads", 1,
                      "--policy", "reversible,stored")["runs"]
            for blocks in ("3,3,3", "9,9,9")
        )
        for field in ("after_forward_bytes", "peak_bytes"):
            self.assertEqual(shallow[0][field], deep[0][field])
            self.assertLess(shallow[1][field], deep[1][field])
        self.assertLess(shallow[0]["parameters"], deep[0]["parameters"])

    def test_the_named_reversible_networks(self):
        mib = 2**20
        for name, after_forward, most in (("revnet38", 22_667_392, 80 * mib), ("revnet110", 23_096_320, 80 * mib),
                                          ("revnet164", 105_480_192, 300 * mib)):
            run = self.json("bench", "memory", "--network", name, "--batch", 100, "--steps", 1, "--policy", "reversible")["runs"][0]
            self.assertEqual(run["after_forward_bytes"], after_forward)
            self.assertLessEqual(run["peak_bytes"], most)  # scratch space in it depends on the width of the vectors

    def test_f64_takes_about_twice(self):
        f32, f64 = (self.bench("--batch", 4, "--policy", "stored", "--dtype", dtype)[0] for dtype in ("f32", "f64"))
        # the peak of so few images is that of scratch space, which is another algorithm's
        self.assertGreater(f64["after_forward_bytes"], 1.8 * f32["after_forward_bytes"])

    def test_threads_change_no_byte(self):
        one = self.bench("--batch", 4, "--policy", "auto")[0]
        two = self.json("bench", "memory", *SMALL[:-2], "--steps", 1, "--batch", 4, "--policy", "auto", "--threads", 2)
        for field in ("after_forward_bytes", "peak_bytes"):
            self.assertEqual(one[field], two["runs"][0][field])
        self.assertEqual((one["policy"], two["runs"][0]["threads"]), ("reversible", 2))

    def test_threads_are_the_processors_that_it_may_use(self):
        processors = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, processors)
        for some in (processors, {min(processors)}):
            os.sched_setaffinity(0, some)
            run = self.json("bench", "memory", *SMALL[:-2], "--steps", 1, "--batch", 4, "--policy", "stored")["runs"][0]
            self.assertEqual(run["threads"], len(some))

    def test_table(self):
        text = self.succeeds("bench", "memory", *SMALL, "--steps", 1, "--batch", 4)
        for word in ("stored", "reversible", "after forward, MiB", "process peak, MiB"):
            self.assertIn(word, text)


class Info(program.Case):
    def test_fields(self):
        info = self.json("info", "--network", "tiny", "--blocks", "1,2,3", "--data", "cifar100")
        self.assertEqual((info["network"], info["blocks"], info["classes"]), ("tiny", [1, 2, 3], 100))
        self.assertIs(type(info["parameters"]), int)
        self.assertEqual(sum(layer["parameters"] for layer in info["layers"]), info["parameters"])
        layers = {layer["path"]: layer for layer in info["layers"]}
        self.assertEqual(layers["conv1"]["type"], "Conv2d")
        self.assertEqual(layers["conv1"]["parameters"], 8 * 3 * 9)
        self.assertEqual(layers["conv1"]["parameter_bytes"], 4 * 8 * 3 * 9)
        self.assertEqual(layers["fc"]["parameters"], 100 * 32 + 100)
        self.assertGreater(layers["stage1"]["activation_bytes"], layers["stage1.0"]["activation_bytes"] - 1)

    def test_sizes_of_the_named_networks(self):
        for network, parameters in NAMED.items():
            self.assertEqual(self.json("info", "--network", network)["parameters"], parameters)

    def test_table(self):
        self.assertIn("BatchNorm2d", self.succeeds("info", "--network", "tiny"))


class Train(program.Case):
    def test_log_and_weights(self):
        run = self.folder / "run"
        self.succeeds(*self.train(run, "--epochs", 2))
        log = log_of(run)
        self.assertEqual([line["step"] for line in log], list(range(1, 11)))
        self.assertEqual([line["step"] for line in log if "test_accuracy" in line], [5, 10])
        for line in log:
            self.assertEqual(set(line) - {"test_loss", "test_accuracy"},
                             {"step", "loss", "accuracy", "lr", "after_forward_bytes", "peak_bytes"})
            self.assertEqual("test_loss" in line, "test_accuracy" in line)
            self.assertIn(8 * line["accuracy"], range(9))
            for field in ("after_forward_bytes", "peak_bytes"):
                self.assertEqual(line[field], log[0][field])
        result = self.json("eval", "--weights", run / "model.safetensors", "--data-dir", self.folder / "data")
        self.assertEqual(result["accuracy"], log[-1]["test_accuracy"])
        self.assertAlmostEqual(result["loss"], log[-1]["test_loss"], delta=8 * 2**-24 * result["loss"])  # in other batches
        self.assertEqual((result["network"], result["data"], result["images"]), ("tiny", "mnist", 40))
        self.assertEqual(sorted(p.name for p in run.iterdir()),
                         [".lock", "checkpoint-000005.safetensors", "checkpoint-000010.safetensors", "log.jsonl", "model.safetensors"])

    def test_threads_and_progress_change_no_bit(self):
        runs = [self.folder / "one", self.folder / "two"]
        self.succeeds(*self.train(runs[0], "--steps", 3))
        two = [a for a in self.train(runs[1], "--steps", 3, "--threads", 2) if a != "--quiet"]
        at = two.index("--threads")
        done = program.call(*two[:at], *two[at + 2:])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("step 3/3", done.stderr)
        self.assertNotIn("\r", done.stderr)
        self.assertEqual(*((run / "model.safetensors").read_bytes() for run in runs))

    def test_policies_learn_alike(self):
        losses = {}
        for policy in ("stored", "checkpoint", "reversible"):
            self.succeeds(*self.train(self.folder / policy, "--steps", 5, "--dtype", "f64", "--policy", policy, "--dropout", 0.1))
            losses[policy] = [line["loss"] for line in log_of(self.folder / policy)]
        for step in range(5):
            self.assertAlmostEqual(losses["stored"][step], losses["reversible"][step], delta=1e-9)
            self.assertAlmostEqual(losses["stored"][step], losses["checkpoint"][step], delta=1e-9)

    def test_autocast_learns_alike(self):
        losses = {}
        runs = {"f32": []} | {f"{dtype}-{policy}": ["--autocast", dtype, "--policy", policy]
                              for dtype in ("bf16", "f16") for policy in ("stored", "reversible")}
        for name, options in runs.items():
            self.succeeds(*self.train(self.folder / name, "--steps", 5, "--lr", 0.01, *options))
            losses[name] = [line["loss"] for line in log_of(self.folder / name)]
        self.assertNotIn("loss_scale", log_of(self.folder / "bf16-stored")[0])
        for dtype in ("bf16", "f16"):
            stored, reversible = losses[f"{dtype}-stored"], losses[f"{dtype}-reversible"]
            self.assertNotEqual(stored, losses["f32"])
            self.assertEqual(stored[0], reversible[0])
            for step in range(5):
                few_roundings = 4 * 2**-8 * losses["f32"][step]  # of bf16; f16's are finer
                self.assertAlmostEqual(stored[step], losses["f32"][step], delta=few_roundings)
                self.assertAlmostEqual(reversible[step], losses["f32"][step], delta=few_roundings)
            tensors, _ = program.read_safetensors(self.folder / f"{dtype}-stored" / "model.safetensors")
            self.assertEqual({dtype for dtype, _, _ in tensors.values()}, {"F32", "I64"})

    def test_f16_scales_the_loss_and_resumes(self):
        """The scale and its count of steps are in the checkpoint."""
        whole, parts = self.folder / "whole", self.folder / "parts"
        options = ["--autocast", "f16", "--lr", 0.01, "--eval-every", 1]
        self.succeeds(*self.train(whole, "--steps", 4, *options))
        scales = [line["loss_scale"] for line in log_of(whole)]
        self.assertTrue(all(scale > 1 for scale in scales), scales)
        self.succeeds(*self.train(parts, "--steps", 2, *options))
        tensors, _ = program.read_safetensors(parts / "checkpoint-000002.safetensors")
        self.assertIn("scaler.growth_tracker", tensors)
        self.succeeds(*self.train(parts, "--steps", 4, "--resume", *options))
        for name in ("model.safetensors", "log.jsonl"):
            self.assertEqual((parts / name).read_bytes(), (whole / name).read_bytes(), name)

    def test_learning_rates(self):
        self.succeeds(*self.train(self.folder / "steps", "--steps", 4, "--lr", 0.5, "--lr-steps", "1,3", "--lr-decay", 0.5))
        self.assertEqual([line["lr"] for line in log_of(self.folder / "steps")], [0.5, 0.25, 0.25, 0.125])
        self.succeeds(*self.train(self.folder / "linear", "--steps", 4, "--lr", 1, "--lr-schedule", "linear", "--optimizer", "adam"))
        self.assertEqual([line["lr"] for line in log_of(self.folder / "linear")], [1, 0.75, 0.5, 0.25])
        self.succeeds(*self.train(self.folder / "cosine", "--steps", 4, "--lr", 1, "--lr-schedule", "cosine", "--warmup", 1,
                                  "--optimizer", "adamw"))
        rates = [line["lr"] for line in log_of(self.folder / "cosine")]
        for rate, expected in zip(rates, [0.5, 1, 0.75, 0.25], strict=True):
            self.assertAlmostEqual(rate, expected, places=12)

    def test_adamw_decays_by_itself(self):
        losses = {}
        for name, options in (("usual", ["adamw"]), ("given", ["adamw", "--weight-decay", 0.01]),
                              ("none", ["adamw", "--weight-decay", 0]), ("adam", ["adam"])):
            self.succeeds(*self.train(self.folder / name, "--steps", 5, "--dtype", "f64", "--optimizer", *options))
            losses[name] = [line["loss"] for line in log_of(self.folder / name)]
        self.assertEqual(losses["usual"], losses["given"])
        self.assertNotEqual(losses["usual"], losses["none"])
        self.assertEqual(losses["none"], losses["adam"])


class Check(program.Case):
    def check(self, *arguments):
        return self.json("check", *SMALL, "--batch", 4, "--steps", 2, *arguments)

    def test_f64(self):
        result = self.check("--dropout", 0.2)
        self.assertTrue(result["passed"])
        self.assertEqual([p["policy"] for p in result["policies"]], ["reversible", "checkpoint"])
        for policy in result["policies"]:
            self.assertIn("conv1.weight", [g["parameter"] for g in policy["gradients"]])
            self.assertTrue(all(g["error"] <= g["allowed"] == 1e-9 for g in policy["gradients"]))
            self.assertEqual(len(policy["losses"]), 2)
            self.assertTrue(policy["running_statistics_equal"])
        self.assertEqual([i["block"] for i in result["inverse"]], ["stage1.1", "stage1.0", "stage2.1", "stage3.1"])
        self.assertEqual([i["depth"] for i in result["inverse"]], [1, 2, 1, 1])
        self.assertLess(max(i["drift"] for i in result["inverse"]), 1e-9)

    def test_f32(self):
        for seed in range(6):
            result = self.check("--dtype", "f32", "--seed", seed)
            self.assertTrue(result["passed"], f"seed {seed}")
            self.assertGreater(max(i["error"] for i in result["inverse"]), 0)
            gradients = result["policies"][0]["gradients"]
            self.assertLess(sorted(g["allowed"] for g in gradients)[len(gradients) // 2], 1e-2, f"seed {seed}")

    def test_losses_of_a_chaotic_training_are_held_to_its_own_measure(self):
        result = self.json("check", *SMALL[:-4], "--blocks", "12,12,12", "--threads", 1, "--batch", 4, "--steps", 30, "--lr", 2,
                           "--policy", "reversible")
        losses = result["policies"][0]["losses"]
        self.assertTrue(all(loss["passed"] for loss in losses))
        self.assertEqual(losses[0]["allowed"], 1e-9)
        self.assertGreater(losses[-1]["allowed"], 1e-9)

    def test_a_plain_network(self):
        result = self.json("check", "--network", "resnet32", "--blocks", "1,1,1", "--batch", 4, "--steps", 1,
                           "--policy", "checkpoint", "--threads", 1)
        self.assertTrue(result["passed"])
        self.assertEqual(result["inverse"], [])

    def test_table(self):
        text = self.succeeds("check", *SMALL, "--batch", 4, "--steps", 2)
        self.assertIn("All within tolerance.", text)


program.cases.main("cli-contracts")
