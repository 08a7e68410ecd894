"""A batch of points, evaluated: the network of each made or taken, then measured on its array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hwprm.config import Settings
from hwprm.exploration.artefacts import Artefacts, Integers
from hwprm.exploration.measure import Measured, measure_all
from hwprm.exploration.metrics import Goal
from hwprm.exploration.workers import Pool

__all__ = ["Found", "evaluate", "measured"]

#: Most points of one task, so that a killed worker loses little; fewer where there are few.
CHUNK = 32
#: Tasks that each worker gets at least, where there are enough points.
SHARES = 4


@dataclass(frozen=True, kw_only=True)
class Found:
    """A point's result and what its integers are kept under."""

    measured: Measured
    integers: str = ""


Tell = Callable[[], None]


def measured(
    pool: Pool, networks: Mapping[str, Integers], points: Sequence[tuple[int, str, Settings]]
) -> Iterator[list[tuple[int, Found]]]:
    """Number and result of `points`, triples of a number, a key of `networks`, and settings, as chunks finish.

    Points of one network and one width of the array stand together: the compiler then does least work twice.
    """
    ordered = sorted(points, key=lambda point: (point[1], point[2].array.cols, point[0]))
    size = max(1, min(CHUNK, -(-len(ordered) // (SHARES * pool.width))))
    chunks: list[list[tuple[int, str, Settings]]] = []
    for point in ordered:
        if not chunks or len(chunks[-1]) >= size or chunks[-1][0][1] != point[1]:
            chunks.append([])
        chunks[-1].append(point)
    shared = {key: pool.share(networks[key].network) for key in dict.fromkeys(point[1] for point in ordered)}
    tasks = [(shared[chunk[0][1]], [settings for _, _, settings in chunk]) for chunk in chunks]
    for index, results in pool.run(measure_all, tasks):
        chunk = chunks[index]
        yield [
            (number, Found(measured=_scored(result, networks[key]), integers=key))
            for (number, key, _), result in zip(chunk, results, strict=True)
        ]


def _scored(result: Measured, integers: Integers) -> Measured:
    """`result` with the accuracy of its network, where that is known."""
    if result.refused or integers.accuracy is None:
        return result
    return replace(result, values={"accuracy": round(integers.accuracy, 4), **result.values})


def evaluate(
    artefacts: Artefacts, points: Mapping[int, Settings], limits: Sequence[Goal], tell: Callable[[str, int, int], None]
) -> dict[int, Found]:
    """Prune, fine-tune, quantise and measure `points`, by number.

    A point whose compact network already breaks a limit that fine-tuning cannot mend is not fine-tuned: it keeps what
    was measured, without an accuracy.
    """
    failed: dict[int, Found] = {}

    def refuse(refusals: Mapping[str, str], key_of: Callable[[Settings], str]) -> None:
        for number, settings in points.items():
            if (why := refusals.get(key_of(settings))) and number not in failed:
                failed[number] = Found(measured=Measured(refused=why))

    refuse(artefacts.prune(points.values(), _teller(tell, "prune", points)), artefacts.compact_key)
    left = {number: settings for number, settings in points.items() if number not in failed}
    early = _measure(artefacts, {n: (artefacts.compact_key(s), s) for n, s in left.items()}, tell)
    for number, found in early.items():
        values = found.measured.values
        if not values or any(goal.excess(values) > 0 for goal in limits if goal.metric != "accuracy"):
            kept = {name: value for name, value in values.items() if name != "accuracy"}
            failed[number] = replace(found, measured=replace(found.measured, values=kept))
    left = {number: settings for number, settings in left.items() if number not in failed}
    refuse(artefacts.tune(left.values(), _teller(tell, "fine-tune", left)), artefacts.tuned_key)
    left = {number: settings for number, settings in left.items() if number not in failed}
    return failed | _measure(artefacts, {n: (artefacts.tuned_key(s), s) for n, s in left.items()}, tell)


def _measure(
    artefacts: Artefacts, points: Mapping[int, tuple[str, Settings]], tell: Callable[[str, int, int], None]
) -> dict[int, Found]:
    """Quantise the models of `points`, pairs of a model's key and settings by number, and measure them."""
    refused = artefacts.quantize(list(points.values()), _teller(tell, "quantise", points))
    keys = {number: artefacts.integers_key(settings, model) for number, (model, settings) in points.items()}
    found = {n: Found(measured=Measured(refused=refused[key])) for n, key in keys.items() if key in refused}
    networks = {key: artefacts.integers(key) for key in {*keys.values()} - {*refused}}
    wanted = [(number, keys[number], points[number][1]) for number in points if number not in found]
    for chunk in measured(artefacts.pool, networks, wanted):
        found |= dict(chunk)
    return found


def _teller(tell: Callable[[str, int, int], None], stage: str, points: Mapping[int, object]) -> Tell:
    """Called after each task of `stage`: of at most as many as there are points."""
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        tell(stage, done, max(done, len(points)))

    return one_more
