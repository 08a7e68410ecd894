"""Public checkpoints: every form of file, exact normalisation, and everything that does not fit in one error."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrizations, prune

import hwprm
from hwprm.config import WeightsConfig
from hwprm.core.errors import ConfigError, InputError, ModelError
from hwprm.frontend import fill, normalised, read_weights, to_graph
from hwprm.graph import BatchNorm, Conv2d, Graph, evaluate
from hwprm.nets import GraphModule, reference_network
from hwprm.quantization import fold_batchnorm, quantize_images, quantize_network, run_torch
from tests.conftest import Run

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NARROW = WeightsConfig(width=1 / 16, classes=3, image_size=16)
NAME = "resnet18-cifar"


def _trained(seed: int = 3) -> nn.Module:
    """A narrow residual network whose batch norms are no identity."""
    net = reference_network(NAME, seed, width=1 / 16, classes=3)
    generator = torch.Generator().manual_seed(seed)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in (
                (part.weight, 0.5),
                (part.bias, -0.2),
                (part.running_mean, -0.3),
                (part.running_var, 0.5),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor.data, low, low + 0.8, generator=generator)
    return net.eval()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """Not to be changed."""
    return _trained()


def _prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


FORMS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "plain": lambda state: state,
    "ordered": lambda state: OrderedDict(state),
    "nested": lambda state: {"state_dict": state, "epoch": 90, "best": 69.8},
    "model": lambda state: {"model": _prefixed(state, "module."), "epoch": 90},
    "compiled": lambda state: {"model_state_dict": _prefixed(state, "_orig_mod.module.")},
    "no_counters": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_forms_of_checkpoints(tmp_path: Path, net: nn.Module, form: str, legacy: bool) -> None:
    file = tmp_path / "weights.pth"
    torch.save(FORMS[form](net.state_dict()), file, _use_new_zipfile_serialization=not legacy)
    other = reference_network(NAME, 9, width=1 / 16, classes=3)
    fill(other, read_weights(file), "it")
    for name, tensor in other.state_dict().items():
        wanted = net.state_dict()[name]
        assert tensor.dtype == wanted.dtype
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, wanted.half().float() if form == "half" else wanted, rtol=0, atol=0)


def test_safetensors(tmp_path: Path, net: nn.Module) -> None:
    save_file(_prefixed(net.state_dict(), "module."), tmp_path / "w.safetensors")
    read = read_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in net.state_dict().items())


def test_loaded_network_computes_what_the_module_does(tmp_path: Path, net: nn.Module) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = hwprm.load(NAME, tmp_path / "w.pth", NARROW)
    assert model.meta["name"] == NAME and model.meta["weights"]["file"] == "w.pth"
    assert len(model.meta["weights"]["sha256"]) == 64
    x = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(GraphModule(model.graph).eval()(x), net(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet5", "vgg16-cifar", "alexnet"])
def test_other_reference_networks(tmp_path: Path, name: str) -> None:
    narrow = {} if name == "lenet5" else {"width": 1 / 64}
    net = reference_network(name, 4, **narrow).eval()  # type: ignore[arg-type]  # a narrower network, or none
    torch.save(net.state_dict(), tmp_path / "w.pt")
    model = hwprm.load(name, tmp_path / "w.pt", WeightsConfig(**narrow))
    x = torch.rand((1, *model.graph.input.shape), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(GraphModule(model.graph).eval()(x), net(x), rtol=1e-4, atol=1e-4)


def test_names_and_shapes_are_torchvisions() -> None:
    alexnet = reference_network("alexnet", width=1 / 64).state_dict()
    places = [f"features.{i}" for i in (0, 3, 6, 8, 10)] + [f"classifier.{i}" for i in (1, 4, 6)]
    assert list(alexnet) == [f"{place}.{kind}" for place in places for kind in ("weight", "bias")]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    for name, convolutions in (("resnet18", 2), ("resnet50", 3)):
        got = list(reference_network(name, width=1 / 64).state_dict())
        wanted = ["conv1.weight", *(f"bn1.{kind}" for kind in norm)]
        for stage, blocks in enumerate((2, 2, 2, 2) if convolutions == 2 else (3, 4, 6, 3), 1):
            for block in range(blocks):
                here = f"layer{stage}.{block}"
                for i in range(1, convolutions + 1):
                    wanted += [f"{here}.conv{i}.weight", *(f"{here}.bn{i}.{kind}" for kind in norm)]
                if block == 0 and (stage > 1 or convolutions == 3):
                    wanted += [f"{here}.downsample.0.weight", *(f"{here}.downsample.1.{kind}" for kind in norm)]
        assert sorted(got) == sorted([*wanted, "fc.weight", "fc.bias"])


def test_normalisation_is_exact_at_the_border_too(tmp_path: Path, net: nn.Module) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    config = WeightsConfig(width=1 / 16, classes=3, image_size=16, mean=MEAN, std=STD)
    graph = hwprm.load(NAME, tmp_path / "w.pth", config).graph
    stored = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    wanted = to_graph(net.double(), (3, 16, 16))
    net.float()
    real = stored / 255
    out = wanted.outputs[0]
    normal = (real - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    exact = normalised(wanted, MEAN, STD)
    np.testing.assert_allclose(evaluate(exact, real)[out], evaluate(wanted, normal)[out], rtol=0, atol=1e-12)
    np.testing.assert_allclose(evaluate(graph, real)[graph.outputs[0]], evaluate(wanted, normal)[out], atol=1e-4)
    first = next(node for node in exact.nodes if isinstance(node, Conv2d))
    assert any(first.padding), "the border is what makes this hard"
    assert first.name in fold_batchnorm(exact).by_name and "normalise" in fold_batchnorm(exact).by_name


def test_normalisation_is_folded_where_that_is_exact() -> None:
    plain = to_graph(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).double(), (3, 8, 8))
    exact = normalised(plain, MEAN, STD)
    folded = fold_batchnorm(exact)
    assert not [node for node in folded.nodes if isinstance(node, BatchNorm)]
    real = np.random.default_rng(0).random((2, 3, 8, 8))
    normal = (real - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    wanted = evaluate(plain, normal)[plain.outputs[0]]
    np.testing.assert_allclose(evaluate(folded, real)[folded.outputs[0]], wanted, rtol=0, atol=1e-12)


def test_integers_of_a_normalised_network_follow_the_float_ones(net: nn.Module) -> None:
    graph = normalised(to_graph(net, (3, 16, 16)), MEAN, STD)
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    quantised = quantize_network(graph, images, 1 / 255)
    got = run_torch(quantised, quantize_images(images, 1 / 255, quantised))[quantised.outputs[0]].reshape(40, 3)
    real = got * quantised.tensor[quantised.outputs[0]].scale
    wanted = evaluate(graph, images / 255)[graph.outputs[0]]
    assert np.abs(real - wanted).max() < 0.1 * np.abs(wanted).max()


def test_normalisation_keeps_still_in_training() -> None:
    graph = normalised(to_graph(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 8, 8)), MEAN, STD)
    module = GraphModule(graph).train()
    assert not [name for name, p in module.named_parameters() if "normalise" in name and p.requires_grad]


def test_a_layer_called_normalise_keeps_its_name() -> None:
    plain = to_graph(nn.Sequential(OrderedDict(normalise=nn.Conv2d(3, 4, 3))), (3, 8, 8))
    names = [node.name for node in normalised(plain, MEAN, STD).nodes]
    assert "normalise" in names and "normalise_" in names


def test_everything_that_does_not_fit_in_one_error(net: nn.Module) -> None:
    state = dict(net.state_dict())
    del state["bn1.weight"], state["layer4.1.conv2.weight"]
    state |= {"fc.weight": torch.zeros(10, 32), "head.bias": torch.zeros(4), "aux.weight": torch.zeros(2, 2)}
    other = reference_network(NAME, 9, width=1 / 16, classes=3)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    words = (
        "w.pth does not fit the network: 2 missing: bn1.weight, layer4.1.conv2.weight; "
        "2 unknown: head.bias, aux.weight; 1 of another shape: fc.weight is (10, 32) for (3, 32); "
        "name the network that it was trained as, with its number of classes and width"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(words)}$"):
        fill(other, state, "w.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_weights_that_are_not_finite(net: nn.Module) -> None:
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"^it holds NaN or infinity in conv1\.weight; fetch it again$"):
        fill(reference_network(NAME, width=1 / 16, classes=3), state, "it")


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this code must not run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            nn.Linear(2, 2),
            r"cannot be read as tensors alone: it holds other Python objects, whose code is not",
        ),
        ({"a": _Evil()}, r"cannot be read as tensors alone"),
        (torch.zeros(3), r"holds a Tensor, no named tensors; save model\.state_dict\(\)$"),
        ({}, r"holds nothing, no named tensors; save model\.state_dict\(\)$"),
        ({"w": torch.zeros(2), "epoch": 3}, r"holds more than named tensors: 'epoch' \(int\); save model\.state_dict"),
    ],
    ids=["module", "code", "tensor", "empty", "mixed"],
)
def test_files_of_other_things(tmp_path: Path, capfd: pytest.CaptureFixture[str], content: object, words: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=rf"w\.pth {words}"):
        read_weights(tmp_path / "w.pth")
    assert "must not run" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 500, -20])
def test_files_that_were_cut(tmp_path: Path, net: nn.Module, name: str, keep: int) -> None:
    file = tmp_path / name
    torch.save(net.state_dict(), file) if file.suffix == ".pth" else save_file(net.state_dict(), file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=rf"{re.escape(name)} .*; fetch it again"):
        read_weights(file)


def test_refusals_of_the_verb(tmp_path: Path, run: Run, net: nn.Module) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    out = tmp_path / "model"
    for words, code, text in (
        ((NAME, tmp_path / "none.pth"), 2, "none.pth is no file; give the path of a checkpoint"),
        (("resnet81", tmp_path / "w.pth"), 2, "no network is called 'resnet81'; known are lenet5, vgg16-cifar"),
        ((NAME, tmp_path / "w.pth"), 2, "w.pth does not fit the network: "),
    ):
        result = run("load", *words, out=out)
        assert (result.exit_code, result.stdout) == (code, "") and text in result.stderr
        assert not out.exists()
    made = run("load", NAME, tmp_path / "w.pth", width=1 / 16, classes=3, image_size=16, mean="0.5", std="0.2", out=out)
    assert "mean and std have 1 and 1 numbers, the network reads 3 channel(s); give one for each channel" in made.stderr
    options = {"width": 1 / 16, "classes": 3, "image_size": 16, "out": out}
    made = run("load", NAME, tmp_path / "w.pth", mean="0.485,0.456,0.406", std="0.229,0.224,0.225", **options)
    assert made.exit_code == 0, made.stderr
    assert isinstance(hwprm.Model.load(out).graph, Graph)
    again = run("load", NAME, tmp_path / "w.pth", **options)
    assert again.exit_code == 2 and "is not empty" in again.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": (0.5,)}, "weights.mean and weights.std belong together; give both or neither"),
        ({"mean": (0.5,), "std": (0.0,)}, "weights.std must be none or a list, each a number above 0, not (0.0,)"),
        (
            {"mean": (0.5, 0.1), "std": (1.0,)},
            "weights.mean and weights.std must be one number for each channel, not [0.5, 0.1] and [1.0]",
        ),
        (
            {"mean": (float("nan"),), "std": (1.0,)},
            "weights.mean must be none or a list, each a number, not (nan,)",
        ),
        ({"width": 0}, "weights.width must be a number above 0 and at most 16, not 0"),
        ({"classes": 1}, "weights.classes must be a whole number of 2 or more or none, not 1"),
        ({"image_size": 0}, "weights.image_size must be a whole number of 1 or more or none, not 0"),
    ],
)
def test_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}$"):
        WeightsConfig(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_lenet_has_one_width(tmp_path: Path) -> None:
    torch.save(reference_network("lenet5").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"^lenet5 has ten classes and one width"):
        hwprm.load("lenet5", tmp_path / "w.pth", WeightsConfig(width=2.0))


PARTS = {
    "mask": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "weight norm": parametrizations.weight_norm,
    "weight norm, before": utils.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "spectral norm, before": utils.spectral_norm,
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_weights_in_parts_are_put_together(tmp_path: Path, name: str) -> None:
    layer = nn.Conv2d(3, 4, 3)
    module = nn.Sequential(PARTS[name](layer) or layer)
    module(torch.ones(1, 3, 5, 5))  # vectors of spectral norm go on while training
    module.eval()
    torch.save({"net": {f"module.{key}": value for key, value in module.state_dict().items()}}, tmp_path / "c.pth")
    found = read_weights(tmp_path / "c.pth")
    assert sorted(found) == ["0.bias", "0.weight"]
    module(torch.ones(1, 3, 5, 5))
    torch.testing.assert_close(found["0.weight"], module[0].weight.detach())
