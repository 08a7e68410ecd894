"""What the frontend refuses, and how it says so."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend import Severity, check, export, to_graph

from .modules import Everything, Fn


def shared_relu(m: Fn, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = y.view(1, -1)
    torch.relu_(y)
    return z


REFUSED = {
    "running sum": (lambda m, x: m.conv(x).cumsum(1), "aten.cumsum.default", "not supported"),
    "average with its own divisor": (
        lambda m, x: functional.avg_pool2d(m.conv(x), 2, divisor_override=3),
        "aten.avg_pool2d.default",
        "overrides the divisor; leave divisor_override out",
    ),
    "mean of channels and rows": (
        lambda m, x: m.conv(x).mean((1, 2)),
        "aten.mean.dim",
        r"averages axes \[1, 2\].*x.mean\(\(2, 3\)\)",
    ),
    "mean of the batch": (
        lambda m, x: m.conv(x).mean(0),
        "aten.mean.dim",
        "the batch among them; keep the images apart",
    ),
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
    "division by the image": (
        lambda m, x: 1 / m.conv(x),
        "aten.reciprocal.default",
        "divides by what may be 0; keep it away from 0",
    ),
    "division that rounds": (
        lambda m, x: torch.div(m.conv(x), 2, rounding_mode="floor"),
        "aten.div.Tensor_mode",
        "it rounds, or divides by what depends on the image",
    ),
    "division by zero": (lambda m, x: m.conv(x) / 0, "aten.div.Tensor", "divides by zero"),
    "bicubic upsample": (
        lambda m, x: functional.interpolate(m.conv(x), scale_factor=2, mode="bicubic"),
        "aten.upsample_bicubic2d.vec",
        "not supported; use mode='bilinear' or mode='nearest'",
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
        lambda m, x: m.conv(torch.cat([x, x], 2)),
        "aten.cat.default",
        r"reorders the samples of a tensor \(4, 8, 7\) to one of \(2, 16, 7\)",
    ),
    "concatenation of rows of two maps": (
        lambda m, x: torch.cat([x[..., :5], m.conv(x)], 2),
        "aten.cat.default",
        r"joins along axis 2 tensors .*different sizes; concatenate channels \(dim=1\)",
    ),
    "layer norm": (
        lambda m, x: functional.layer_norm(m.conv(x), (6, 5)),
        "aten.layer_norm.default",
        "not supported: it divides by what it measures in each image, .* are constants; use batch norm, which folds",
    ),
    "attention": (
        lambda m, x: functional.scaled_dot_product_attention(y := m.conv(x), y, y),
        "aten.scaled_dot_product_attention.default",
        "not supported: it multiplies two tensors that depend on the image, .*; use convolutions, sums",
    ),
    "a stack of images": (
        lambda m, x: torch.stack((m.conv(x), m.conv(x))),
        "aten.stack.default",
        "joins along axis 0 of .*, the batch; join along another axis",
    ),
    "a constant map": (
        lambda m, x: m.conv(torch.cat([x[:, :1], torch.arange(7.0).expand(1, 1, 8, 7)], 1)),
        "aten.cat.default",
        r"a constant \(1, 1, 8, 7\) that differs from pixel to pixel; give a constant map as another input",
    ),
    "transposed map": (lambda m, x: m.conv(x.transpose(2, 3)), "aten.transpose.int", "reorders the samples of"),
    "channels as two axes": (
        lambda m, x: m.conv(functional.pixel_shuffle(x.view(1, 1, 4, 4, 7), 2).view(1, 2, 8, 7)),
        "aten.pixel_shuffle.default",
        "channels that a view has split into several axes; view them as",
    ),
    "clamp with tensors": (
        lambda m, x: torch.clamp(x, m.conv.bias[:, None, None]),
        "aten.clamp.Tensor",
        "ends differ from channel to channel; clamp to two numbers",
    ),
    "choice between others": (
        lambda m, x: torch.where(x > 0, x, 1.0),
        "aten.where.ScalarOther",
        "chooses other values than those it compares; compare with a number",
    ),
    "jump": (lambda m, x: functional.threshold(x, 0.0, 1.0), "aten.threshold.default", "jumps from 1.0 to 0.0; use"),
    "clamp upside down": (lambda m, x: torch.clamp(x, 2, 1), "aten.clamp.default", "low end 2.0 is above .* 1.0; swap"),
    "padding with ones": (
        lambda m, x: m.conv(functional.pad(x, (1, 1), value=1.0)),
        "aten.pad.default",
        r"padding with 1.0 is not supported",
    ),
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
    "linear over columns": (
        lambda m, x: m.fc(m.conv(x)),
        "aten.linear.default",
        r"reorders the samples of a tensor \(2, 6, 5\) to one of \(5, 2, 6\)",
    ),
    "reshape": (
        lambda m, x: functional.max_pool1d(m.conv(x).view(1, 4, -1), 3),
        "aten.view.default",
        r"reorders the samples of a tensor \(2, 6, 5\) to one of \(4, 1, 15\)",
    ),
    "flattened batch": (lambda m, x: m.conv(x).view(-1), "aten.view.default", r"images are mixed; keep the batch as"),
    "other type": (
        lambda m, x: m.conv(x).to(torch.float64),
        "aten.to.dtype",
        "converts torch.float32 to torch.float64",
    ),
    "softmax inside": (
        lambda m, x: m.conv(torch.softmax(x, 3)),
        "aten.softmax.int",
        "softmax over 7 entries inside the network is not supported; use it only behind the last layer, or over 2 to 4",
    ),
    "root of anything": (
        lambda m, x: m.conv(x).sqrt(),
        "aten.sqrt.default",
        r"the root of what may be negative; use torch.relu\(x\) under",
    ),
    "division by a root that may be 0": (
        lambda m, x: x / torch.relu(x).sqrt(),
        "aten.div.Tensor",
        r"divides by what may be 0; keep it away from 0: x / \(torch.relu\(y\) \+ 0.1\)",
    ),
    "pool indices": (
        lambda m, x: functional.max_pool2d(m.conv(x), 2, return_indices=True)[1],
        "<built-in function getitem>",
        "indices or statistics",
    ),
    "transposed conv of uneven strides": (
        lambda m, x: functional.conv_transpose2d(x, m.conv.weight, stride=(2, 1)),
        "aten.conv_transpose2d.input",
        r"its strides \(2, 1\) differ; use one stride for rows and columns",
    ),
    "transposed conv of a sequence": (
        lambda m, x: functional.conv_transpose1d(m.conv(x)[:, :, 0], m.conv.weight[:, :, 0]),
        "aten.conv_transpose1d.default",
        "not supported; use a transposed convolution of maps",
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
    module = Fn(lambda m, x: functional.adaptive_max_pool2d(m.conv(x.cumsum(1)).log1p(), 4).rsqrt())
    ops = [f.op for f in check(module, (2, 8, 7)) if f.severity == Severity.ERROR]
    assert ops == [f"aten.{name}.default" for name in ("cumsum", "log1p", "adaptive_max_pool2d", "rsqrt")]
    with pytest.raises(UnsupportedError, match=r"uses 4 things(.|\n)*cumsum(.|\n)*log1p(.|\n)*max_pool2d(.|\n)*rsqrt"):
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


def test_no_network_at_all() -> None:
    with pytest.raises(ModelError, match=r"must be a torch.nn.Module or an ExportedProgram, not str"):
        to_graph("model.pt2", (1,))


@pytest.mark.parametrize("module", [nn.Identity(), nn.Dropout()])
def test_a_network_without_layers(module: nn.Module) -> None:
    with pytest.raises(ModelError, match="no layer that computes"):
        to_graph(module, (2, 8, 7))


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


def test_a_vector_made_a_map_again_is_refused() -> None:
    class Reshaped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(112, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(x).reshape(len(x), -1, 1, 1))

    (finding,) = check(Reshaped(), (2, 8, 7))
    assert finding.problem == "'reshape_2' makes channels of the pixels of a flattened map"


def test_a_batch_norm_without_variance_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    module[1].running_var[1] = -1
    with pytest.raises(ModelError, match="batch norm '1' has a variance that is not above 0; mend its running_var"):
        to_graph(module, (2, 8, 7))


def test_what_stands_for_a_refused_call_has_a_name_of_its_own() -> None:
    """Else the factor behind the refused product would read itself, and looking for what is behind it never end."""

    class Covariance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 4, 1), nn.Linear(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x).flatten(2)
            c = x.bmm(x.transpose(1, 2))
            trace = 0.5 * (c * torch.eye(4)).sum(1).sum(1)
            return self.fc((c * torch.sqrt(trace).view(-1, 1, 1)).flatten(1))

    errors = [finding.op for finding in check(Covariance(), (2, 8, 7)) if finding.severity == Severity.ERROR]
    assert errors == ["aten.bmm.default", "aten.mul.Tensor", "aten.sqrt.default"]
