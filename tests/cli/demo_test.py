"""The demonstration, on a data set of a few images in Fashion-MNIST's format."""

import json
import xml.etree.ElementTree as xml

import program


class Demo(program.Case):
    def test_table_summary_and_picture(self):
        program.write_mnist(self.folder, images=200)
        out = self.folder / "out" / "demo"
        for _ in range(2):  # it can be run again
            text = self.succeeds("demo", "--data-dir", self.folder, "--out", out, "--threads", 1, "--quiet")
        for word in ("after forward, MiB", "peak, MiB", "step, ms", "loss", "stored", "reversible", "on 200 images"):
            self.assertIn(word, text)

        summary = json.loads((out / "summary.json").read_text())
        self.assertTrue(0 <= summary["test_accuracy"] <= 1)
        stored, reversible = summary["runs"]
        self.assertEqual((stored["policy"], reversible["policy"]), ("stored", "reversible"))
        # Eight steps at a rate of 0.01 move a loss by about 0.01 |g|^2 each, less than 1 together; a gradient from
        # rebuilt inputs is off by less than a thousandth of it.
        self.assertAlmostEqual(stored["loss"], reversible["loss"], delta=1e-3)
        self.assertLess(reversible["peak_bytes"], stored["peak_bytes"])
        self.assertLess(reversible["after_forward_bytes"], stored["after_forward_bytes"])

        picture = xml.parse(out / "memory.svg").getroot()
        self.assertEqual(picture.tag, "{http://www.w3.org/2000/svg}svg")
        texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("MiB of activations", texts)
        for word in ("forward", "backward"):
            self.assertEqual(texts.count(word), 2)
        for run in summary["runs"]:
            self.assertIn(f"{run['policy']}: peak {run['peak_bytes'] / 2**20:.1f} MiB", texts)
        self.assertEqual(len(list(picture.iter("{http://www.w3.org/2000/svg}path"))), 2)


program.cases.main("cli-demo")
