"""What the frontend refuses, and how it says so."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend import Severity, check, export, load_pt2, to_graph
from hwprm.graph import evaluate

from .modules import Everything


class Fn(nn.Module):
    """A 3x3 convolution, a linear layer, and a function of them and the image."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.fc = nn.Linear(5, 4)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def shared_relu(m: Fn, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = y.view(1, -1)
    torch.relu_(y)
    return z


REFUSED = {
    "gelu": (lambda m, x: functional.gelu(m.conv(x)), "aten.gelu.default", "not supported; replace it by ReLU"),
    "average with its own divisor": (
        lambda m, x: functional.avg_pool2d(m.conv(x), 2, divisor_override=3),
        "aten.avg_pool2d.default",
        "overrides the divisor; leave divisor_override out",
    ),
    "mean of rows": (lambda m, x: m.conv(x).mean(2), "aten.mean.dim", r"averages axes \[2\].*x.mean\(\(2, 3\)\)"),
    "uneven maximum": (
        lambda m, x: functional.adaptive_max_pool2d(m.conv(x), 4),
        "aten.adaptive_max_pool2d.default",
        r"\(4, 4\) does not divide \(6, 5\); use an output size that divides the map",
    ),
    "sum with a constant map": (
        lambda m, x: m.conv(x) + torch.arange(5.0),
        "aten.add.Tensor",
        "constant differs from pixel to pixel; use one constant per channel",
    ),
    "product with more channels": (
        lambda m, x: m.conv(x)[:, :1] * m.conv.bias[:, None, None],
        "aten.mul.Tensor",
        r"broadcasts \(1, 1, 6, 5\) and \(2, 1, 1\); keep the tensor's shape",
    ),
    "product of tensors": (
        lambda m, x: (y := m.conv(x)) * torch.relu(y),
        "aten.mul.Tensor",
        "multiplies two tensors that depend on the image; use sums",
    ),
    "division by the image": (lambda m, x: 1 / m.conv(x), "aten.reciprocal.default", "not supported"),
    "division that rounds": (
        lambda m, x: torch.div(m.conv(x), 2, rounding_mode="floor"),
        "aten.div.Tensor_mode",
        "it rounds, or divides by what depends on the image",
    ),
    "division by zero": (lambda m, x: m.conv(x) / 0, "aten.div.Tensor", "divides by zero"),
    "upsample by a fraction": (
        lambda m, x: functional.interpolate(m.conv(x), scale_factor=1.5),
        "aten.upsample_nearest2d.vec",
        r"makes \(9, 7\) of \(6, 5\); scale height and width by whole numbers",
    ),
    "bilinear upsample": (
        lambda m, x: functional.interpolate(m.conv(x), scale_factor=2, mode="bilinear"),
        "aten.upsample_bilinear2d.vec",
        "not supported; use nearest upsampling of maps by whole numbers",
    ),
    "rows by number": (
        lambda m, x: m.conv(x)[:, :, [2, 1]],
        "aten.index.Tensor",
        r"indexes axes \[2\] .*; choose channels only",
    ),
    "pixels by number": (
        lambda m, x: m.conv(x)[:, :, [[0], [2]], [1, 3]],
        "aten.index.Tensor",
        "picks pixels one by one; scale",
    ),
    "channels by mask": (
        lambda m, x: m.conv(x)[:, torch.tensor([True, False])],
        "aten.index.Tensor",
        "indexes with a mask; choose channels by their numbers",
    ),
    "sum in place": (
        lambda m, x: (y := m.conv(x)).add_(torch.relu(y)),
        "aten.add_.Tensor",
        "write x = x . y instead of x .= y",
    ),
    "concatenation of rows": (
        lambda m, x: torch.cat([x, x], 2),
        "aten.cat.default",
        r"joins along axis 2 of \(1, 2, 8, 7\); concatenate channels \(dim=1\)",
    ),
    "split of rows": (lambda m, x: m.conv(x).split(3, 2)[0], "aten.split.Tensor", "splits axis 2.*split channels"),
    "transposed map": (lambda m, x: m.conv(x).transpose(2, 3), "aten.transpose.int", "reorders the axes of"),
    "channels as two axes": (
        lambda m, x: m.conv(torch.relu(x.view(1, 1, 2, 8, 7)).view(1, 2, 8, 7)),
        "aten.relu.default",
        "channels that a view has split into several axes; view them as",
    ),
    "output of two channel axes": (lambda m, x: m.conv(x).view(1, 1, 2, 6, 5), "output", "stand as several axes"),
    "clamp with tensors": (lambda m, x: torch.clamp(x, m.conv.bias.sum()), "aten.clamp.Tensor", "not supported"),
    "clamp upside down": (lambda m, x: torch.clamp(x, 2, 1), "aten.clamp.default", "low end 2.0 is above .* 1.0; swap"),
    "reflect padding": (
        lambda m, x: m.conv(functional.pad(x, (1, 1, 1, 1), "reflect")),
        "aten.pad.default",
        "reflect padding is not supported; use zero padding",
    ),
    "padding with ones": (
        lambda m, x: m.conv(functional.pad(x, (1, 1), value=1.0)),
        "aten.pad.default",
        r"padding with 1.0 is not supported",
    ),
    "cropping": (lambda m, x: m.conv(functional.pad(x, (-1, 0))), "aten.pad.default", "crops, or pads channels"),
    "pad before pool": (
        lambda m, x: functional.max_pool2d(functional.pad(m.conv(x), (1, 1)), 2),
        "aten.max_pool2d.default",
        "reads a zero-padded map, and zero padding can only be merged into a conv2d, an average pool,",
    ),
    "padded output": (lambda m, x: functional.pad(m.conv(x), (1, 1)), "output", "it is a zero-padded map"),
    "dropout in training": (
        lambda m, x: functional.dropout(m.conv(x), 0.5, training=True),
        "aten.dropout.default",
        r"training mode; call model.eval\(\)",
    ),
    "batch statistics": (
        lambda m, x: functional.batch_norm(m.conv(x), None, None, training=True),
        "aten.batch_norm.default",
        "statistics of the batch; call model.eval",
    ),
    "linear on a map": (lambda m, x: m.fc(m.conv(x)), "aten.linear.default", "last axis of a map; flatten the map"),
    "reshape": (lambda m, x: m.conv(x).view(1, 4, -1), "aten.view.default", r"only flattening all but the batch"),
    "flattened batch": (lambda m, x: m.conv(x).view(-1), "aten.view.default", r"only flattening all but the batch"),
    "crop by slice": (lambda m, x: m.conv(x)[:, :, :1], "aten.slice.Tensor", "keep the whole tensor"),
    "other type": (
        lambda m, x: m.conv(x).to(torch.float64),
        "aten.to.dtype",
        "converts torch.float32 to torch.float64",
    ),
    "softmax inside": (
        lambda m, x: m.conv(torch.softmax(x, 1)),
        "aten.softmax.int",
        "softmax inside the network is not supported; use it only behind the last layer",
    ),
    "pool indices": (
        lambda m, x: functional.max_pool2d(m.conv(x), 2, return_indices=True)[1],
        "<built-in function getitem>",
        "indices or statistics",
    ),
    "transposed conv": (
        lambda m, x: functional.conv_transpose2d(x, m.conv.weight),
        "aten.conv_transpose2d.input",
        "use nearest upsampling and a conv2d instead",
    ),
    "weight from the image": (
        lambda m, x: functional.linear(x.flatten(1), x.flatten(1)),
        "aten.linear.default",
        "its weight is computed from the image; use a parameter as weight",
    ),
    "random": (
        lambda m, x: functional.conv2d(x, torch.bernoulli(m.conv.weight.abs() * 0)),
        "aten.bernoulli.default",
        "it makes random numbers; remove it",
    ),
    "constant output": (lambda m, x: (m.conv(x), m.conv.bias * 2), "output", "does not depend on the image"),
    "in-place ReLU on shared memory": (
        shared_relu,
        "aten.relu_.default",
        "overwrites a tensor that something else reads; use",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_operator_and_the_remedy(name: str) -> None:
    function, op, text = REFUSED[name]
    errors = [f for f in check(Fn(function), (2, 8, 7)) if f.severity == Severity.ERROR]
    assert [finding.op for finding in errors] == [op]
    assert re.search(text, str(errors[0]))
    with pytest.raises(UnsupportedError, match=f"uses 1 thing that hwprm does not support:\n  .*{re.escape(op)}"):
        to_graph(Fn(function), (2, 8, 7))


def test_all_problems_are_listed_at_once() -> None:
    module = Fn(lambda m, x: functional.gelu(functional.adaptive_max_pool2d(torch.tanh(m.conv(functional.silu(x))), 4)))
    ops = [f.op for f in check(module, (2, 8, 7)) if f.severity == Severity.ERROR]
    assert ops == ["aten.silu.default", "aten.tanh.default", "aten.adaptive_max_pool2d.default", "aten.gelu.default"]
    with pytest.raises(UnsupportedError, match=r"uses 4 things(.|\n)*silu(.|\n)*tanh(.|\n)*max_pool2d(.|\n)*gelu"):
        to_graph(module, (2, 8, 7))


def test_what_fusing_finds_is_listed_at_once_by_node() -> None:
    class Norms(Fn):
        def __init__(self) -> None:
            super().__init__(None)
            self.a, self.b = nn.BatchNorm1d(60), nn.BatchNorm1d(60)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = self.conv(x).flatten(1)
            return torch.relu(self.a(y)), torch.relu(self.b(y))

    errors = [f for f in check(Norms(), (2, 8, 7)) if f.severity == Severity.ERROR]
    assert [(f.node, f.op) for f in errors] == [("a", "BatchNorm"), ("b", "BatchNorm")]
    assert all("60 entries for 2 channels" in f.problem and "put it before the flatten" in f.remedy for f in errors)


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch's own copy of its tree specs
def test_a_program_in_training_mode_is_told_to_call_eval(decomposed: bool) -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU()).train()
    program = torch.export.export(module, (torch.zeros(2, 2, 8, 7),))
    errors = [f for f in check(program.run_decompositions() if decomposed else program) if f.severity == Severity.ERROR]
    assert [f.op.split(".")[1].removeprefix("_native_").removeprefix("native_")[:10] for f in errors][-2:] == [
        "batch_norm",
        "dropout",
    ]
    assert all("call model.eval()" in f.remedy for f in errors)


def test_softmax_at_the_end_is_a_note() -> None:
    findings = check(Fn(lambda m, x: torch.log_softmax(m.conv(x), 1).argmax(1)), (2, 8, 7))
    notes = [f for f in findings if f.op.startswith("aten")]
    assert [f.op for f in notes] == ["aten.log_softmax.int", "aten.argmax.default"]
    assert all(f.severity == Severity.NOTE for f in findings)
    graph = to_graph(Fn(lambda m, x: torch.softmax(m.conv(x), 1)), (2, 8, 7))
    assert graph.outputs == ("conv",)


def test_unused_parameters_are_noted() -> None:
    findings = check(Fn(lambda m, x: m.conv(x)), (2, 8, 7))
    assert [(f.node, f.problem) for f in findings] == [
        ("fc.weight", "forward() does not use it"),
        ("fc.bias", "forward() does not use it"),
    ]


def test_a_parameter_that_feeds_no_layer_is_refused() -> None:
    program = export(Fn(lambda m, x: m.conv(x)), (2, 8, 7))
    nodes = {node.name: node for node in program.graph_module.graph.nodes}
    with program.graph_module.graph.inserting_before(nodes["output"]):
        double = program.graph_module.graph.call_function(torch.ops.aten.mul.Tensor, (nodes["p_fc_weight"], 2))
        double.meta["val"] = nodes["p_fc_weight"].meta["val"]
    errors = [f for f in check(program) if f.severity == Severity.ERROR]
    assert [str(f) for f in errors] == [
        "fc.weight (parameter): no supported layer takes it in; remove what uses it from forward()"
    ]


def test_a_batch_norm_that_nothing_can_take_in_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.BatchNorm1d(60), nn.ReLU(), nn.Linear(60, 2))
    findings = check(module, (2, 8, 7))
    assert [(f.node, f.op) for f in findings] == [("2", "BatchNorm")]
    assert "batch norm '2' follows a flatten" in findings[0].problem
    assert "put it before the flatten" in findings[0].remedy


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


def test_no_network_at_all() -> None:
    with pytest.raises(ModelError, match=r"must be a torch.nn.Module or an ExportedProgram, not str"):
        to_graph("model.pt2", (1,))


@pytest.mark.parametrize("module", [nn.Identity(), nn.Dropout()])
def test_a_network_without_layers(module: nn.Module) -> None:
    with pytest.raises(ModelError, match="no layer that computes"):
        to_graph(module, (2, 8, 7))


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
    assert [f.op for f in check(program) if f.severity == Severity.ERROR] == ["input", "aten.conv2d.default"]


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


def test_nan_weights_are_refused() -> None:
    module = Everything()
    with torch.no_grad():
        module.fc2.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="weight of 'fc2' holds NaN or infinity"):
        to_graph(module, (2, 18, 17))


def test_export_leaves_training_flags_alone() -> None:
    module = Everything().train()
    module.norm1.eval()
    export(module, (2, 18, 17))
    assert module.training and module.fc1.training and not module.norm1.training


def test_pt2_round_trip(tmp_path: Path) -> None:
    torch.export.save(export(Everything(), (2, 18, 17)), tmp_path / "model.pt2")
    names = [node.name for node in to_graph(load_pt2(tmp_path / "model.pt2")).nodes]
    assert names == [node.name for node in to_graph(Everything(), (2, 18, 17)).nodes]


def test_files_that_are_no_pt2(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no file; write it with torch.export.save"):
        load_pt2(tmp_path / "absent.pt2")
    (tmp_path / "text.pt2").write_text("hello")
    with pytest.raises(ModelError, match=r"is no torch.export file \(or was cut short\); write it with"):
        load_pt2(tmp_path / "text.pt2")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt2")
    with pytest.raises(ModelError, match=r"is an archive, but torch.export cannot read it"):
        load_pt2(tmp_path / "state.pt2")
    torch.export.save(export(Everything(), (2, 18, 17)), tmp_path / "whole.pt2")
    data = (tmp_path / "whole.pt2").read_bytes()
    (tmp_path / "cut.pt2").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"was cut short"):
        load_pt2(tmp_path / "cut.pt2")


def test_a_vector_made_a_map_again_is_refused() -> None:
    class Reshaped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(112, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(x).reshape(len(x), -1, 1, 1))

    (finding,) = check(Reshaped(), (2, 8, 7))
    assert finding.problem == "it makes (1, 112, 1, 1) of (1, 2, 8, 7)"


def test_a_wrong_shape_is_one_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnsupportedError, match="cannot trace"):
        check(nn.Sequential(nn.Flatten(), nn.Linear(5, 4)), (2, 8, 7))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_batch_norm_without_variance_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    module[1].running_var[1] = -1
    with pytest.raises(ModelError, match="batch norm '1' has a variance that is not above 0; mend its running_var"):
        to_graph(module, (2, 8, 7))
