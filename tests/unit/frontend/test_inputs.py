"""Shapes, names and batches of inputs: one, several, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend import Severity, check, export, to_graph
from hwprm.graph import evaluate

from .modules import Everything, Fn


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 8, 7, 1, 1), "cannot trace"),
        ((3, 8, 7), "cannot trace Fn on an input of shape"),
        ((2, 1, 1), "cannot trace"),
    ],
)
def test_wrong_shapes_do_not_trace(shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        check(Fn(lambda m, x: m.conv(x)), shape)


@pytest.mark.parametrize("shape", [(), (0, 3, 3), (1.5,)])
def test_impossible_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="the input shape must be positive integers"):
        export(Everything(), shape)


def test_a_module_needs_a_shape() -> None:
    with pytest.raises(ModelError, match=r"give example_shape=\(C, H, W\)"):
        to_graph(Everything())


class Two(nn.Module):
    """A map and a vector; `extra`, which nobody reads, only where it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(5, 3)

    def forward(self, image: torch.Tensor, facts: torch.Tensor, extra: torch.Tensor | None = None) -> torch.Tensor:
        return self.conv(image).mean((2, 3)) + self.fc(facts)


TWO = {"image": (2, 8, 7), "facts": (5,)}


def test_several_inputs() -> None:
    module = Two().eval()
    assert check(module, TWO) == []
    graph = to_graph(module, {"facts": (5,), "image": (2, 8, 7)})  # the order is that of forward()
    assert [(node.name, node.shape) for node in graph.inputs] == list(TWO.items())
    x = {name: np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32) for name, shape in TWO.items()}
    with torch.no_grad():
        wanted = module(*(torch.from_numpy(array) for array in x.values())).numpy()
    np.testing.assert_allclose(evaluate(graph, x)[graph.outputs[0]], wanted, atol=1e-5)


def test_an_input_keeps_its_name_from_a_layer_of_that_name() -> None:
    class Clash(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.facts = nn.Conv2d(2, 3, 3), nn.Linear(5, 3)

        def forward(self, image: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
            return self.conv(image).mean((2, 3)) + self.facts(facts)

    graph = to_graph(Clash(), TWO)
    assert [node.name for node in graph.inputs] == ["image", "facts"]
    assert [layer.name for layer in graph.weighted] == ["conv", "facts_2"]


def test_an_input_that_is_not_used_is_noted_and_stays() -> None:
    program = torch.export.export(Two().eval(), tuple(torch.zeros(1, *s) for s in (*TWO.values(), (1, 2, 2))))
    notes = [(f.node, f.op, f.problem, f.severity) for f in check(program)]
    assert notes == [("extra", "input", "forward() does not use it", Severity.NOTE)]
    assert [node.name for node in to_graph(program).inputs] == ["image", "facts", "extra"]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"image": (2, 8, 7)}, r"forward\(\) takes image, facts, shapes are given for image; give one for each"),
        (TWO | {"other": (1,)}, r"takes image, facts, shapes are given for image, facts, other;"),
        (TWO | {"facts": (0,)}, r"must be positive integers \(C, H, W\) or \(K,\), not \(0,\)$"),
    ],
    ids=["missing", "unknown", "empty"],
)
def test_shapes_of_other_inputs_are_refused(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_graph(Two(), shapes)


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ((2, 8, 7), r"\(2, 8, 7\)"),
        ({"image": (2, 8, 7)}, r"image \(2, 8, 7\)"),
        (TWO | {"facts": (4,)}, ".*facts .4,."),
    ],
    ids=["one", "missing", "shape"],
)
def test_other_images_than_exported_for_are_refused(shapes: object, found: str) -> None:
    program = export(Two(), TWO)
    with pytest.raises(ModelError, match=rf"was exported for images image \(2, 8, 7\), facts \(5,\), not {found}$"):
        to_graph(program, shapes)
    assert len(to_graph(program, TWO).inputs) == 2


def test_inputs_of_different_batches_are_refused() -> None:
    program = torch.export.export(Two().eval(), (torch.zeros(1, 2, 8, 7), torch.zeros(4, 5)))
    errors = [f for f in check(program) if f.op == "input"]
    assert [(f.node, f.problem) for f in errors] == [("facts", "its batch is 4, another input's is 1")]


def test_an_input_without_batch_is_refused() -> None:
    program = torch.export.export(Fn(lambda m, x: m.conv(x)).eval(), (torch.zeros(2, 8, 7),))
    assert [f.op for f in check(program) if f.severity == Severity.ERROR] == ["aten.conv2d.default"]


def test_dynamic_height_is_refused() -> None:
    shapes = {"x": {2: torch.export.Dim("height", min=4)}}
    module = nn.Sequential(nn.Conv2d(2, 2, 3)).eval()
    program = torch.export.export(module, (torch.zeros(1, 2, 8, 7),), dynamic_shapes=({2: shapes["x"][2]},))
    errors = [f for f in check(program) if f.op == "input"]
    assert "is dynamic" in errors[0].problem and "only the batch may vary" in errors[0].remedy


def test_another_shape_than_exported_is_refused() -> None:
    program = export(Everything(), (2, 18, 17))
    with pytest.raises(ModelError, match=r"exported for images \(2, 18, 17\), not \(1, 18, 17\)"):
        to_graph(program, (1, 18, 17))


def test_a_wrong_shape_is_one_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnsupportedError, match="cannot trace"):
        check(nn.Sequential(nn.Flatten(), nn.Linear(5, 4)), (2, 8, 7))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
