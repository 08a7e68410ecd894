"""A network as a list of steps with the shapes they make, before and after pruning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwprm.graph import Graph, Input, Node, Shape
from hwprm.graph.rules.node import Told
from hwprm.graph.rules.text import grouped, sizes, strided
from hwprm.intnet import GemmLayer, IntegerNetwork, Term
from hwprm.reporting.page.parts import Network, NetworkRow
from hwprm.reporting.page.rail import rail

__all__ = ["Step", "channelwise", "graph_steps", "integer_steps", "network_part"]

#: Classes of dots.
WEIGHTED, JOINED, PLAIN = "weighted", "joined", "plain"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A node and the channelwise ones that only it feeds; `inputs` are numbers of earlier steps."""

    name: str
    what: str
    kind: str
    inputs: tuple[int, ...]
    before: Shape | None = None
    after: Shape | None = None


def graph_steps(before: Graph, after: Graph | None = None) -> tuple[Step, ...]:
    """Steps of `before`, and the shapes that the same nodes make in the compact graph `after`."""
    groups = _groups(before)
    place = {node.name: i for i, group in enumerate(groups) for node in group}
    return tuple(
        Step(
            name=group[0].name,
            what=" · ".join(node.describe() for node in told),
            kind=_kind(group[0]),
            inputs=tuple(place[name] for name in group[0].inputs),
            before=before.shapes[told[-1].name],
            after=_shape_after(told, after) if after else None,
        )
        for group, told in zip(groups, map(_told, groups), strict=True)
    )


def integer_steps(net: IntegerNetwork) -> tuple[Step, ...]:
    """Steps of an integer network: its input, then its layers."""
    place = {name: i for i, name in enumerate([*net.inputs, *(layer.name for layer in net.layers)])}
    images = [Step(name=name, what="input", kind=PLAIN, inputs=(), after=net.tensor[name].shape) for name in net.inputs]
    layers = [
        Step(
            name=layer.name,
            what=" · ".join(_describe_layer(net, layer)),
            kind=JOINED if len(layer.terms) > 1 or layer.residual else WEIGHTED,
            inputs=tuple(place[source] for source in layer.sources),
            after=net.tensor[layer.name].shape,
        )
        for layer in net.layers
    ]
    return (*images, *layers)


def channelwise(term: Term) -> bool:
    """Whether `term` only scales channels of its source: a summand, or a copy, perhaps of some channels alone."""
    if term.weight.shape[2:] != (1, 1):
        return False
    if term.groups > 1:
        return len(term.weight) == term.groups and term.weight.shape[1] == 1
    used = term.weight[:, :, 0, 0] != 0
    return len(used) > 1 and int(used.sum(axis=0).max()) <= 1 and int(used.sum(axis=1).max()) <= 1


def network_part(steps: tuple[Step, ...], *, pruned: bool) -> Network:
    """The list and its picture; with `pruned` a step without a shape after pruning was removed."""
    picture, width = rail([step.inputs for step in steps], [step.kind for step in steps])
    rows = tuple(
        NetworkRow(
            name=step.name,
            what=step.what + _reads(steps, i),
            before=_text(step.before),
            after=_text(step.after),
            removed=pruned and step.after is None,
        )
        for i, step in enumerate(steps)
    )
    return Network(rows=rows, rail=picture, width=width)


def _groups(graph: Graph) -> list[list[Node]]:
    groups: list[list[Node]] = []
    ends: dict[str, list[Node]] = {}  # last node of a group -> the group
    for node in graph.nodes:
        group = ends.get(node.inputs[0]) if node.told in (Told.FOLLOWING, Told.HIDDEN) else None
        alone = group is not None and len(graph.consumers(group[-1].name)) == 1 and group[-1].name not in graph.outputs
        if group is None or not alone or isinstance(group[0], Input):
            group = []
            groups.append(group)
        else:
            del ends[group[-1].name]
        group.append(node)
        ends[node.name] = group
    return groups


def _told(group: list[Node]) -> list[Node]:
    """What is shown of a group: what only relabels something else, like a flatten, has a shape that says less."""
    return [group[0], *(node for node in group[1:] if node.told is not Told.HIDDEN)]


def _shape_after(group: list[Node], after: Graph) -> Shape | None:
    """Shape of the last node of `group` that is left; compaction drops nodes that only pass a tensor on."""
    return next((after.shapes[node.name] for node in reversed(group) if node.name in after.by_name), None)


def _reads(steps: tuple[Step, ...], index: int) -> str:
    """What a step reads, where that is not the step above it."""
    if steps[index].inputs in ((), (index - 1,)):
        return ""
    return " ← " + ", ".join(steps[i].name for i in steps[index].inputs)


def _kind(node: Node) -> str:
    return {Told.WEIGHTED: WEIGHTED, Told.JOINED: JOINED}.get(node.told, PLAIN)


def _text(shape: Shape | None) -> str:
    return "×".join(map(str, shape)) if shape else ""


def _describe_layer(net: IntegerNetwork, layer: GemmLayer) -> Iterator[str]:
    plain = len(layer.terms) > 1 and all(channelwise(term) for term in layer.terms)
    yield "sum" if plain else " + ".join(_describe_term(term) for term in layer.terms)
    if layer.residual:
        yield "+ " + " × ".join(layer.residual.sources)
    if layer.clamp[0] == 0 and net.sum_limits(layer)[0] < 0:  # else there is nothing to cut
        yield "ReLU"
    if layer.pool:
        yield f"max pool {sizes(layer.pool.kernel)}{strided(layer.pool.stride, layer.pool.kernel)}"


def _describe_term(term: Term) -> str:
    if channelwise(term):
        return f"channel by channel{strided(term.stride, (1, 1))}"
    return f"conv {sizes(term.weight.shape[2:])}{strided(term.stride, (1, 1))}{grouped(term.groups)}"
