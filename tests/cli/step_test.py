"""Training steps from file to file, and weights under MemCNN's names."""

import math
import random

import program
from program import SMALL, read_safetensors, write_safetensors

LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 2e-4
U, U_F32 = 2**-53, 2**-24  # one rounding in f64 and in f32
N, C, SIZE, CLASSES = 4, 1, 8, 10


def images(seed=1):
    numbers = random.Random(seed)
    return [numbers.uniform(-1, 1) for _ in range(N * C * SIZE * SIZE)]


class Steps(program.Case):
    def setUp(self):
        super().setUp()
        self.weights = self.folder / "run" / "model.safetensors"
        self.succeeds(*self.train(self.folder / "run", "--steps", 1))
        self.batch = self.folder / "batch.safetensors"
        self.write_batch({"images": ("F32", [N, C, SIZE, SIZE], images()), "labels": ("I64", [N], [3, 1, 4, 1])})

    def write_batch(self, tensors):
        write_safetensors(self.batch, tensors)

    def command(self, *arguments, network=SMALL):
        return ["step", *network, "--weights", self.weights, "--batch", self.batch, "--out", self.folder / "out", *arguments]

    def step(self, *arguments):
        """name -> numbers of what was written."""
        self.succeeds(*self.command(*arguments))
        return {name: numbers for name, (_, _, numbers) in read_safetensors(self.folder / "out")[0].items()}


class Written(Steps):
    def test_names_shapes_and_types(self):
        before, _ = read_safetensors(self.weights)
        for dtype in ("f32", "f64"):
            self.succeeds(*self.command("--dtype", dtype, "--steps", 3))
            got, metadata = read_safetensors(self.folder / "out")
            parameters = [n for n in before if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))]
            buffers = [n for n in before if n not in parameters]
            self.assertEqual(sorted(got), sorted(["loss", "logits"] + [f"grad.{n}" for n in parameters] +
                                                 [f"param.{n}" for n in parameters] + [f"buffer.{n}" for n in buffers]))
            self.assertEqual((got["loss"][1], got["logits"][1]), ([3], [N, CLASSES]))
            for name, (written, shape, _) in got.items():
                integers = name.endswith("num_batches_tracked")
                self.assertEqual(written, "I64" if integers else dtype.upper(), name)
                if "." in name:
                    self.assertEqual(shape, before[name.split(".", 1)[1]][1], name)
            self.assertEqual((metadata["network"], metadata["policy"], metadata["dtype"]), ("tiny", "reversible", dtype))
            self.assertEqual(got["buffer.bn1.num_batches_tracked"][2], [4])

    def test_one_step_by_hand(self):
        before = read_safetensors(self.weights)[0]
        got = self.step("--dtype", "f64", "--lr", LR, "--momentum", MOMENTUM, "--weight-decay", WEIGHT_DECAY)
        rows = [got["logits"][i * CLASSES:(i + 1) * CLASSES] for i in range(N)]
        softmax = [[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in rows]
        labels = [3, 1, 4, 1]
        self.assertAlmostEqual(got["loss"][0], -sum(math.log(p[t]) for p, t in zip(softmax, labels)) / N, delta=40 * U)
        for c in range(CLASSES):  # of the last bias: mean over the batch of softmax - onehot
            expected = sum(p[c] - (t == c) for p, t in zip(softmax, labels)) / N
            self.assertAlmostEqual(got["grad.fc.bias"][c], expected, delta=20 * U)
        for name in (n.removeprefix("param.") for n in got if n.startswith("param.")):
            for old, gradient, new in zip(before[name][2], got[f"grad.{name}"], got[f"param.{name}"]):
                self.assertAlmostEqual(new, old - LR * (gradient + WEIGHT_DECAY * old), delta=4 * U)  # of numbers below 1

    def test_f32_weights_widen_exactly(self):
        before = read_safetensors(self.weights)[0]
        got = self.step("--dtype", "f64", "--lr", 0)
        for name, numbers in got.items():
            if name.startswith("param."):
                self.assertEqual(numbers, before[name.removeprefix("param.")][2])

    def test_policies_agree(self):
        stored, *others = (self.step("--dtype", "f64", "--steps", 3, "--policy", p)
                           for p in ("stored", "checkpoint", "reversible"))
        for other in others:
            for name, numbers in stored.items():
                for a, b in zip(numbers, other[name]):
                    self.assertAlmostEqual(a, b, delta=1e4 * U, msg=name)  # three steps of some hundred operations in a row

    def test_a_batch_for_each_step(self):
        once = self.step("--steps", 2)
        self.write_batch({"images": ("F32", [3, N, C, SIZE, SIZE], images() + images() + images(2)),
                          "labels": ("I64", [3, N], [3, 1, 4, 1] * 3)})
        self.assertEqual(self.step("--steps", 2), once)
        self.assertNotEqual(self.step("--steps", 3)["loss"][2], self.step("--steps", 2)["loss"][1])
        self.write_batch({"images": ("F32", [2, N, C, SIZE, SIZE], images() + images(2)),
                          "labels": ("I64", [2, N], [3, 1, 4, 1, 0, 0, 0, 0])})
        self.assertNotEqual(self.step("--steps", 2)["loss"], once["loss"])

    def test_f64_images(self):
        narrow = self.step("--dtype", "f64")
        self.write_batch({"images": ("F64", [N, C, SIZE, SIZE], images()), "labels": ("I64", [N], [3, 1, 4, 1])})
        wide = self.step("--dtype", "f64")
        self.assertNotEqual(narrow["loss"], wide["loss"])
        self.assertAlmostEqual(narrow["loss"][0], wide["loss"][0], delta=10 * U_F32)  # of the images


class Wrong(Steps):
    def refuses(self, text, *arguments, **options):
        self.fails(1, text, *self.command(*arguments, **options))
        self.assertFalse((self.folder / "out").exists())

    def test_missing_tensors(self):
        for name in ("images", "labels"):
            tensors = {"images": ("F32", [N, C, SIZE, SIZE], images()), "labels": ("I64", [N], [3, 1, 4, 1])}
            del tensors[name]
            self.write_batch(tensors)
            self.refuses(f"[step] {self.batch} must hold the tensors images and labels, but it lacks {name}\n")

    def test_types(self):
        self.write_batch({"images": ("F64", [N, C, SIZE, SIZE], images()), "labels": ("I64", [N], [3, 1, 4, 1])})
        self.refuses(f"[step] {self.batch} must hold images of f32 and labels of i64, got f64 and i64\n")
        self.write_batch({"images": ("F32", [N, C, SIZE, SIZE], images()), "labels": ("F32", [N], [3, 1, 4, 1])})
        self.refuses(f"[step] {self.batch} must hold images of f32 and labels of i64, got f32 and f32\n")

    def test_shapes(self):
        for image_shape, label_shape in (([N, C * SIZE, SIZE], [N]), ([N, C, SIZE, SIZE], [2, 2]), ([N, C, SIZE, SIZE], [3]),
                                         ([1, N, C, SIZE, SIZE], [N]), ([2, 2, C, SIZE, SIZE], [1, N])):
            self.write_batch({"images": ("F32", image_shape, images()),
                              "labels": ("I64", label_shape, range(math.prod(label_shape)))})
            self.refuses(f"[step] {self.batch} must hold images [N,C,H,W] and labels [N], or both with a leading dimension of "
                         f"steps, got [{','.join(map(str, image_shape))}] and [{','.join(map(str, label_shape))}]\n")

    def test_too_few_steps(self):
        self.write_batch({"images": ("F32", [2, N, C, SIZE, SIZE], images() * 2), "labels": ("I64", [2, N], [3, 1, 4, 1] * 2)})
        self.refuses(f"[step] {self.batch} must hold batches for 3 steps, got 2\n", "--steps", 3)

    def test_labels_outside_the_classes(self):
        self.write_batch({"images": ("F32", [N, C, SIZE, SIZE], images()), "labels": ("I64", [N], [3, 1, 10, 1])})
        self.refuses("[cross_entropy] labels must be in [0,10) for 10 classes, got 10 at index 2\n")

    def test_weights_of_another_network(self):
        self.refuses("[load_state_dict] the state must have the names of the module's parameters and buffers, but it lacks ",
                     network=[*SMALL[:4], "--blocks", "3,3,3"])
        tensors, _ = read_safetensors(self.weights)
        tensors.pop("fc.weight")
        write_safetensors(self.weights, tensors)
        self.refuses("[load_state_dict] the state must have the names of the module's parameters and buffers, but it lacks "
                     "fc.weight\n")

    def test_a_loss_that_is_not_finite(self):
        self.refuses("[train] the loss must be finite, got ", "--lr", "1e30", "--steps", 4)

    def test_parameters_that_are_not_finite(self):
        self.refuses("[train] the parameters must be finite, but after step 1 conv1.weight is not\n", "--lr", "1e300")

    def test_use(self):
        self.fails(2, "[network] the name must be one of", *self.command(network=["--network", "revnet39"]))
        self.fails(2, "--lr: must be at least 0, got -1", *self.command("--lr", "-1"))
        self.fails(2, "policy reversible needs a network with reversible blocks",
                   *self.command("--policy", "reversible", network=["--network", "resnet32"]))
        self.fails(2, "--names", *self.command("--names", "torch"))
        self.fails(2, "--steps", *self.command("--steps", 0))


class Names(Steps):
    def memcnn(self, *arguments):
        """A training that writes MemCNN's names."""
        run = self.folder / "memcnn"
        self.succeeds(*self.train(run, "--steps", 1, "--names", "memcnn", *arguments))
        return run / "model.safetensors"

    def test_the_final_weights(self):
        ours, _ = read_safetensors(self.weights)
        theirs, metadata = read_safetensors(self.memcnn())
        self.assertEqual(metadata["names"], "memcnn")
        self.assertEqual(len(theirs), len(ours))
        self.assertIn("layer1.0.revblock._fn.Gm.conv1.weight", theirs)
        self.assertEqual(theirs["layer1.0.revblock._fn.Gm.conv1.weight"], ours["stage1.0.G.conv1.weight"])
        self.assertEqual(theirs["layer2.0.downsample.1.running_mean"], ours["stage2.0.shortcut_bn.running_mean"])
        self.assertEqual(theirs["layer2.0.basicblock_sub.bn2.bias"], ours["stage2.0.F.bn2.bias"])

    def test_eval(self):
        data = ["--data-dir", self.folder / "data"]
        expected = self.json("eval", "--weights", self.weights, *data)
        theirs = self.memcnn()
        plain = self.folder / "plain.safetensors"
        write_safetensors(plain, read_safetensors(theirs)[0])  # as PyTorch would write it
        network = [*SMALL[:6], "--data", "mnist", "--names", "memcnn"]
        for got in (self.json("eval", "--weights", theirs, *data), self.json("eval", "--weights", plain, *data, *network)):
            self.assertEqual((got["accuracy"], got["loss"]), (expected["accuracy"], expected["loss"]))
        self.fails(1, "unexpected layer", "eval", "--weights", theirs, *data, "--names", "retrace")
        # --network counts, whatever network the file names
        renamed = self.folder / "renamed.safetensors"
        program.write_metadata(self.weights, renamed, {"network": "mine"})
        self.assertEqual(self.json("eval", "--weights", renamed, *data, *network[:-2])["accuracy"], expected["accuracy"])

    def test_step(self):
        ours = self.step("--steps", 2)
        self.weights = self.memcnn()
        theirs = self.step("--steps", 2, "--names", "memcnn")
        self.assertEqual(self.step("--steps", 2), theirs)  # the file tells
        self.assertEqual(theirs["loss"], ours["loss"])
        self.assertEqual(theirs["grad.layer3.1.revblock._fn.Fm.conv2.weight"], ours["grad.stage3.1.F.conv2.weight"])
        self.assertEqual(theirs["buffer.layer3.0.downsample.1.running_var"], ours["buffer.stage3.0.shortcut_bn.running_var"])
        self.assertEqual(len(theirs), len(ours))

    def test_initial_weights(self):
        theirs = self.memcnn()
        for weights, names in ((self.weights, "retrace"), (theirs, "memcnn")):
            run = self.folder / f"from-{names}"
            self.succeeds(*self.train(run, "--steps", 1, "--lr", 0, "--seed", 7, "--weights", weights, "--names", names))
            before, after = (read_safetensors(f)[0] for f in (weights, run / "model.safetensors"))
            for name in before:
                if name.endswith("weight"):
                    self.assertEqual(after[name], before[name])
        self.fails(1, "it lacks", *self.train(self.folder / "no", "--weights", theirs, "--names", "retrace"))

    def test_initial_weights_are_for_the_beginning(self):
        # A run that goes on takes its checkpoint, even when the weights that it began with are gone.
        weights = self.folder / "w.safetensors"
        weights.write_bytes(self.weights.read_bytes())
        whole, run = self.folder / "whole", self.folder / "part"
        self.succeeds(*self.train(whole, "--steps", 4, "--weights", weights))
        self.succeeds(*self.train(run, "--steps", 2, "--weights", weights))
        weights.unlink()
        self.succeeds(*self.train(run, "--steps", 4, "--weights", weights, "--resume"))
        self.assertEqual(*((folder / "model.safetensors").read_bytes() for folder in (run, whole)))
        self.fails(2, "weights was", *self.train(run, "--steps", 5, "--weights", self.weights, "--resume"))


program.cases.main("cli-step")
