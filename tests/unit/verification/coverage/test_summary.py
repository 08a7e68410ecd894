"""Coverage in numbers and names."""

from __future__ import annotations

import numpy as np

from hwprm.verification.coverage.goals import goals_of
from hwprm.verification.coverage.measure import measure
from hwprm.verification.coverage.summary import coverage_line, summarise

from .networks import layer, one_layer


def test_summary() -> None:
    net = one_layer(layer([[[[1]]]], table=np.arange(256) % 100, clamp=(-128, 127)))
    families = goals_of(net)
    images = np.array([[[[-8, 20], [20, 22]]], [[[0, 126], [-128, 127]]]])
    reached = measure(net, families, images)
    first, second, _ = summarise(families, reached, reached.first(1))
    assert (first.name, first.goals, first.reached, first.compared, first.left) == ("image", 2, 2, 0, 0)
    assert (second.name, second.goals, second.ruled_out) == ("squash", 8 + 256 - 2 + 2, 6 + 127)
    assert second.unreachable[:4] == ("below", "above", "lowest", "highest")
    assert second.unreachable[-2:] == ("code -128..-65", "code 65..127")
    assert second.compared == 3, "three codes"
    codes = [name for name in second.open if name.startswith("code")]
    assert codes == ["code -63..-5", "code -3..-1", "code 1..9", "code 12..62"]
    assert second.goals == second.reached + second.ruled_out + second.left
    assert [(count.kind, count.filters, count.reached, count.unreachable) for count in second.filters] == [
        ("below", 1, 0, 1),
        ("above", 1, 0, 1),
        ("lowest", 1, 0, 1),
        ("highest", 1, 0, 1),
    ]


def test_line() -> None:
    assert coverage_line([]) == "coverage: 0 of 0 goals reached, 0 unreachable, 0 open"
    assert coverage_line([(1_000, 990, 7, 3), (5, 5, 0, 0)]) == (
        "coverage: 995 of 1,005 goals reached, 7 unreachable, 3 open"
    )
