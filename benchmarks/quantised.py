"""What becomes of a quantised model: LeNet-5, quantised by onnxruntime, beside hwprm's integers.

What: how many of the embedded MNIST images get the same class from onnxruntime's run of the QDQ model, node by node,
and from the integer network that keeps its integers and scales; both accuracies, and those of the float model; how many
weights, biases and scales are the model's.
How: LeNet-5 is trained for a few epochs; `quantize_static` with int8 weights per channel, once with symmetric
activations and once as it comes, with zero points, which takes 9 bits. Integers from the numpy reference. One thread,
two minutes.
Needs: `pip install onnx onnxruntime`.
Target: the same class for 99 % of the images, every weight and every bias the model's.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from common import markdown, parser, say, verdict, write_results
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from hwprm.config import QuantizeConfig
from hwprm.data import load_dataset
from hwprm.frontend import load, to_graph
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import quantize_images, quantize_network

EPOCHS, CALIBRATION, SAME = 4, 100, 0.99


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime tells no types
    """Images one by one."""

    def __init__(self, x: NDArray[np.float32]) -> None:
        self.images: Iterator[NDArray[np.float32]] = iter(x)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next image."""
        image = next(self.images, None)
        return None if image is None else {"image": image[None]}


def lenet() -> nn.Module:
    """LeNet-5 with ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 120), nn.ReLU(), nn.Linear(120, 10)),
    )


def trained(x: NDArray[np.float32], y: NDArray[np.int64]) -> nn.Module:
    """The network after a few epochs."""
    torch.manual_seed(0)
    net = lenet()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for rows in torch.chunk(torch.randperm(len(x)), -(-len(x) // 64)):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(torch.from_numpy(x)[rows]), torch.from_numpy(y)[rows])
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            optimiser.step()
    return net.eval()


def kept(file: Path, net: IntegerNetwork) -> dict[str, int]:
    """How many weights and biases of the model in `file` are those of `net`, and how many there are."""
    arrays = {part.name: onnx.numpy_helper.to_array(part) for part in onnx.load(file).graph.initializer}
    stored = [a for a in arrays.values() if a.dtype == np.int8 and a.ndim > 1]
    biases = [a for a in arrays.values() if a.dtype == np.int32 and a.ndim == 1 and a.any()]
    found = [layer for layer in net.layers if layer.terms[0].weight.size in [a.size for a in stored]]
    same = 0
    for layer in found:
        weight = layer.terms[0].weight
        alike = [a for a in stored if a.size == weight.size]
        same += max(int((part.reshape(weight.shape) == weight).sum()) for a in alike for part in (a, a.T))
    same_biases = sum(int((layer.bias == a).sum()) for layer in found for a in biases if a.size == layer.bias.size)
    counts = {"weights": sum(a.size for a in stored), "biases": sum(a.size for a in biases)}
    return counts | {"same_weights": same, "same_biases": same_biases}


def measured(net: nn.Module, data: Any, symmetric: bool) -> dict[str, Any]:
    """One way of quantising."""
    x = data.x_test.astype(np.float32) / 255
    calibration = data.x_train[:CALIBRATION].astype(np.float32) / 255
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, file = Path(folder) / "float.onnx", Path(folder) / "qdq.onnx"
        free = {"image": {0: "batch"}}
        example = (torch.zeros(1, 1, 28, 28),)
        torch.onnx.export(net, example, str(plain), dynamo=False, input_names=["image"], dynamic_axes=free)
        extra = {"ActivationSymmetric": symmetric}
        kinds = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
        form = {"quant_format": QuantFormat.QDQ, "per_channel": True, "extra_options": extra, **kinds}
        quantize_static(str(plain), str(file), Reader(calibration), **form)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        wanted = onnxruntime.InferenceSession(str(file), options).run(None, {"image": x})[0]
        bits = QuantizeConfig(act_bits=8 if symmetric else 9)
        integers = quantize_network(to_graph(load(file)), data.x_train[:CALIBRATION], 1 / 255, bits)
        facts: dict[str, Any] = kept(file, integers)
    images = quantize_images(data.x_test, 1 / 255, integers)
    words = reference.run(integers, images)[integers.outputs[0]].reshape(len(x), -1)
    with torch.no_grad():
        floats = net(torch.from_numpy(x)).numpy()
    got, theirs, y = words.argmax(1), wanted.argmax(1), data.y_test
    accuracies = {"float": floats.argmax(1), "onnxruntime": theirs, "hwprm": got}
    facts |= {f"{name}_percent": round(100 * float((found == y).mean()), 2) for name, found in accuracies.items()}
    return facts | {"images": len(x), "act_bits": bits.act_bits, "same_class": round(float((got == theirs).mean()), 4)}


def tables(facts: dict[str, Any]) -> str:
    """One row for each way of quantising."""
    header = ("activations", "bits", "float", "onnxruntime", "hwprm", "same class", "weights kept", "biases kept")
    rows = [
        [
            *(name, row["act_bits"], f"{row['float_percent']} %", f"{row['onnxruntime_percent']} %"),
            *(f"{row['hwprm_percent']} %", f"{100 * row['same_class']:.2f} %"),
            *(f"{row['same_weights']} of {row['weights']}", f"{row['same_biases']} of {row['biases']}"),
        ]
        for name, row in facts["ways"].items()
    ]
    return markdown(header, rows)


def main() -> None:
    """Train, quantise twice, compare."""
    args = parser(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    data = load_dataset("mnist_subset")
    say("training")
    net = trained((np.asarray(data.x_train) / 255).astype(np.float32), data.y_train)
    ways = {name: measured(net, data, name == "symmetric") for name in ("symmetric", "with zero points")}
    facts = {"target": SAME, "ways": ways}
    write_results("quantised", facts, args.results)
    print(tables(facts))
    whole = all(way["same_weights"] == way["weights"] and way["same_biases"] == way["biases"] for way in ways.values())
    print(verdict(whole and min(way["same_class"] for way in ways.values()) >= SAME))


if __name__ == "__main__":
    main()
