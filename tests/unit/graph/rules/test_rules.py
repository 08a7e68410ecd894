"""Every operator gives every rule; one that lacks a rule is refused by name wherever that rule is needed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwprm.core.errors import UnsupportedError
from hwprm.frontend.operators import HANDLERS
from hwprm.frontend.remedies import REMEDIES
from hwprm.graph import OPERATORS, BatchNorm, Clamp, Conv2d, Graph, Input, Node, evaluate
from hwprm.graph.liveness import kept_channels, needed_channels
from hwprm.graph.rules.node import RULES, WEIGHTED_RULES, Holder, Told, Weighted
from hwprm.nets import GraphModule
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.admm.supports import choose_supports, hard_prune
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.compaction.compaction import compact_graph, cut_channels
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.pruning.statistics import layer_statistics
from hwprm.quantization.lowering.lower import lower
from hwprm.reporting.page.network import graph_steps

OPS = Path(__file__).resolve().parents[4] / "hwprm" / "graph" / "ops"


def gives(kind: type[Node], rule: str) -> bool:
    """Whether `kind` or a class that it is made of, other than the bare `Node`, gives `rule`."""
    return any(rule in vars(base) for base in kind.__mro__ if base is not Node)


@pytest.mark.parametrize("kind", OPERATORS.values(), ids=OPERATORS)
def test_every_operator_gives_every_rule(kind: type[Node]) -> None:
    missing = [rule for rule in RULES if not gives(kind, rule)]
    if issubclass(kind, Weighted):
        missing += [rule for rule in WEIGHTED_RULES if rule not in vars(kind)]
    assert not missing, f"{kind.__name__} lacks {missing}; add them to its file in hwprm/graph/ops"
    assert isinstance(kind.holder, Holder) and isinstance(kind.told, Told)
    assert all(isinstance(text, str) for text in (kind.offered, *kind.replaces, *kind.replaces.values()))


@pytest.mark.parametrize("kind", OPERATORS.values(), ids=OPERATORS)
def test_parameters_are_those_that_pruning_and_training_know(kind: type[Node]) -> None:
    """What silences, narrows and widens layers knows a matrix with a bias, and batch norm."""
    arrays = {field.name for field in dataclasses.fields(kind) if "FloatArray" in str(field.type)}
    known = {Holder.NONE: set(), Holder.WEIGHTS: {"weight", "bias"}, Holder.NORM: {"weight", "bias", "mean", "var"}}
    assert arrays == known[kind.holder]
    assert issubclass(kind, Weighted) == (kind.holder is Holder.WEIGHTS)
    assert (kind is BatchNorm) == (kind.holder is Holder.NORM)


def test_training_refuses_parameters_that_it_does_not_know() -> None:
    kind = type("Strange", (Clamp,), {"holder": Holder.WEIGHTS})
    with pytest.raises(UnsupportedError, match="^'odd': training keeps the parameters of layers with a matrix and of"):
        GraphModule(graph_with(kind))


def test_every_file_is_one_operator() -> None:
    files = sorted(path for path in OPS.glob("*.py") if path.stem != "__init__")
    assert len(files) == len(OPERATORS)
    for path, (name, kind) in zip(files, OPERATORS.items(), strict=True):
        assert (kind.__name__, kind.__module__) == (name, f"hwprm.graph.ops.{path.stem}")
        assert name.lower() == path.stem.replace("_", "")


def test_every_subclass_of_node_in_the_graph_is_an_operator() -> None:
    def subclasses(kind: type) -> set[type]:
        return {kind} | {each for sub in kind.__subclasses__() for each in subclasses(sub)}

    own = {kind for kind in subclasses(Node) if kind.__module__.startswith("hwprm.graph.ops")}
    assert own == set(OPERATORS.values())


def test_calls_and_remedies_are_told_once() -> None:
    targets = [target for kind in OPERATORS.values() for entry in kind.imports() for target in entry.targets]
    assert len(targets) == len(set(targets)) and set(targets) <= set(HANDLERS)
    replaced = [name for kind in OPERATORS.values() for name in kind.replaces]
    assert len(replaced) == len(set(replaced)) and set(replaced) <= set(REMEDIES)
    assert not {f"aten.{name}.default" for name in replaced} & set(HANDLERS)


def test_operators_do_without_torch() -> None:
    code = "import sys, hwprm.graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_structure_is_plain_json() -> None:
    for kind in OPERATORS.values():
        for field in dataclasses.fields(kind):
            assert not field.name.startswith("_"), f"{kind.__name__}.{field.name} would be saved"


class Strange(Node):
    """An operator without any rule."""


def lacking(rule: str) -> type[Node]:
    """A clamp that does not give `rule`."""
    inner = vars(Node).get(rule)
    names: dict[str, Any] = {} if inner is None else {rule: inner}
    kind = type("Strange", (Clamp,), names)
    if inner is None:  # a class attribute, which cannot be taken back

        def found(self: Node, name: str) -> object:
            return self._lacks(rule) if name == rule else object.__getattribute__(self, name)

        kind.__getattribute__ = found
    return kind


def graph_with(kind: type[Node]) -> Graph:
    """A convolution, `kind`, a convolution."""
    ones, zeros = np.ones((2, 2, 1, 1)), np.zeros(2)
    return Graph(
        (
            Input(name="x", inputs=(), shape=(2, 3, 3)),
            Conv2d(name="a", inputs=("x",), weight=ones, bias=zeros),
            kind(name="odd", inputs=("a",)),
            Conv2d(name="b", inputs=("odd",), weight=ones, bias=zeros),
        ),
        ("b",),
    )


def supports(graph: Graph) -> object:
    weights = {layer.name: layer.weight.reshape(2, 2) for layer in graph.weighted}
    return choose_supports(graph, weights, {name: Limits(rows=1) for name in weights}, True)


def pruned(graph: Graph) -> None:
    module = GraphModule(graph)
    hard_prune(module, supports(graph))


#: A rule, and who needs it.
USES: list[tuple[str, Callable[[Graph], object]]] = [
    ("evaluate", lambda graph: evaluate(graph, np.zeros((1, 2, 3, 3)))),
    ("holder", GraphModule),
    ("compute", lambda graph: GraphModule(graph)(torch.zeros(1, 2, 3, 3, dtype=torch.float64))),
    ("constants", remove_unused_paths),
    ("constants", compact_graph),
    ("constants", lower),
    ("links", remove_unused_paths),
    ("links", needed_channels),
    ("links", kept_channels),
    ("links", channel_groups),
    ("links", supports),
    ("links", lower),
    ("cut", compact_graph),
    ("cut", lambda graph: cut_channels(graph, kept_channels(graph))),
    ("quantised", lower),
    ("told", graph_steps),
    ("describe", graph_steps),
]


@pytest.mark.parametrize(("rule", "use"), USES, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(USES)])
def test_a_missing_rule_is_refused_by_name_where_it_is_needed(rule: str, use: Callable[[Graph], object]) -> None:
    use(graph_with(Clamp))
    graph = graph_with(lacking(rule))
    text = f"'odd': operator Strange has no rule '{rule}', which says {RULES[rule]};"
    with pytest.raises(UnsupportedError, match=text):
        use(graph)


@pytest.mark.parametrize("rule", ["check", "infer_shape"])
def test_a_graph_needs_shapes(rule: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'odd': operator Strange has no rule '{rule}'"):
        graph_with(lacking(rule))


def test_a_bare_node_has_no_rules() -> None:
    node = Strange(name="odd", inputs=("x",))
    with pytest.raises(UnsupportedError, match="'odd': operator Strange has no rule 'check'"):
        graph_with(Strange)
    with pytest.raises(UnsupportedError, match="^operator Strange has no rule 'imports'"):
        Strange.imports()
    for rule in ("holder", "offered", "replaces", "told"):
        with pytest.raises(UnsupportedError, match=f"'odd': operator Strange has no rule '{rule}'"):
            getattr(node, rule)
    with pytest.raises(AttributeError, match="'Strange' object has no attribute 'wieght'"):
        _ = node.wieght


def test_pruning_goes_through_every_operator_alike(tmp_path: Path) -> None:
    graph = graph_with(Clamp)
    pruned(graph)
    assert [s.name for s in layer_statistics(graph)] == ["a", "b"]
    graph.save(tmp_path)
    text = json.loads((tmp_path / "graph.json").read_text())
    text["nodes"][2]["op"] = "Strange"
    (tmp_path / "graph.json").write_text(json.dumps(text))
    with pytest.raises(Exception, match="holds no readable graph \\(this version knows no operator 'Strange'\\)"):
        Graph.load(tmp_path)
