"""What the tests of the program share: calling it, and small files for it to read."""

import array
import json
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "project"))
import cases  # noqa: E402

PROGRAM = sys.argv[1]
# A network that learns in milliseconds.
SMALL = ["--network", "tiny", "--channels", "4,4,8,8", "--blocks", "2,2,2", "--threads", "1"]


def call(*arguments, file_limit=None, environment=None):
    """Runs the program; with `file_limit` no file may grow beyond so many bytes, with `environment` in that one."""

    def limit():
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit, env=environment
    )


def write_idx(path, shape, values):
    header = struct.pack(">HBB", 0, 8, len(shape)) + b"".join(struct.pack(">I", extent) for extent in shape)
    path.write_bytes(header + bytes(values))


def write_mnist(folder, images=40, size=8, label=lambda i: i % 10):
    """A data set in MNIST's format: each class has its own grey."""
    for split in ("train", "t10k"):
        labels = [label(i) for i in range(images)]
        pixels = [(25 * labels[i] + p) % 256 for i in range(images) for p in range(size * size)]
        write_idx(folder / f"{split}-images-idx3-ubyte", (images, size, size), pixels)
        write_idx(folder / f"{split}-labels-idx1-ubyte", (images,), labels)


def write_metadata(source, target, changes):
    """Copies a safetensors file with some of its metadata changed or, where None, removed; all of it without `changes`."""
    whole = source.read_bytes()
    end = 8 + struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8:end])
    metadata = header.pop("__metadata__", {}) | (changes or {})
    kept = {} if changes is None else {key: value for key, value in metadata.items() if value is not None}
    text = json.dumps({"__metadata__": kept} | header if kept else header).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(struct.pack("<Q", len(text)) + text + whole[end:])


DTYPES = {"F32": "f", "F64": "d", "I64": "q"}


def write_safetensors(path, tensors):
    """tensors: name -> (dtype, shape, numbers)."""
    header, data = {}, b""
    for name, (dtype, shape, numbers) in tensors.items():
        content = array.array(DTYPES[dtype], numbers).tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    """(tensors, metadata), as write_safetensors takes them."""
    content = path.read_bytes()
    length = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = (entry["dtype"], entry["shape"], array.array(DTYPES[entry["dtype"]], content[begin:end]).tolist())
    return tensors, metadata


class Case(unittest.TestCase):
    """A test with a folder of its own."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def succeeds(self, *arguments):
        done = call(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def json(self, *arguments):
        """The one JSON document that the program prints."""
        return json.loads(self.succeeds(*arguments, "--json"))

    def fails(self, status, text, *arguments, **options):
        """One line on stderr, in which `text` occurs."""
        done = call(*arguments, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aretrace: \[[a-z_0-9 -]+\] [^\n]+\n\Z")
        self.assertIn(text, done.stderr)

    def train(self, out, *arguments):
        """A training as a list of arguments, on little data of our own."""
        data = self.folder / "data"
        if not data.exists():
            data.mkdir()
            write_mnist(data)
        return ["train", *SMALL, "--data", "mnist", "--data-dir", data, "--batch", 8, "--quiet", "--out", out, *arguments]


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
