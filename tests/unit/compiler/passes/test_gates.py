"""Gates of one pixel: read in common one image at a time, as maps in batches; the same integers."""

from __future__ import annotations

import numpy as np

from hwprm.compiler.passes.gates import spread_gates
from hwprm.config import ArrayConfig
from hwprm.intnet import Gate, IntegerNetwork, Residual, Term, reference
from tests.support.networks import Spec, network, seeded_weights


def gated() -> IntegerNetwork:
    """A map of 3 x 2 pixels times a pixel, times itself."""
    every = np.arange(4)
    silent = (Term(source="a", weight=np.zeros((4, 1, 1, 1), np.int64), groups=4),)

    def product(source: str, gate: str) -> Residual:
        return Residual(
            source=source, channel=every, mult=np.array([1, 1, 0, 1]), gate=Gate(source=gate, channel=every[::-1])
        )

    def term(source: str, *shape: int) -> tuple[Term, ...]:
        return (Term(source=source, weight=seeded_weights(*shape)),)

    layers = (
        Spec(name="a", terms=term("image", 4, 2, 1, 1)),
        Spec(name="g", terms=term("a", 4, 4, 3, 2)),
        Spec(name="b", terms=silent, residual=product("a", "g"), relu=False),
        Spec(name="c", terms=silent, residual=product("b", "b"), relu=False),
        Spec(name="d", terms=term("c", 3, 4, 1, 1), wide=True),
    )
    return network((2, 3, 2), layers)


def test_one_image_at_a_time_nothing_changes() -> None:
    net = gated()
    assert [net.spread(layer) for layer in net.layers] == [False, False, True, False, False]
    assert net.rasters(net.layers[2]) == ("a",) and net.rasters(net.layers[3]) == ("a", "b")
    assert spread_gates(net, ArrayConfig()).network is net


def test_in_a_batch_the_pixel_becomes_a_map() -> None:
    net = gated()
    done = spread_gates(net, ArrayConfig(batch=2))
    assert [layer.name for layer in done.network.layers] == ["a", "g", "b_gate", "b", "c", "d"]
    assert done.network.tensor["b_gate"].shape == (4, 3, 2)
    images = np.random.default_rng(1).integers(-128, 128, (3, 2, 3, 2))
    before, after = reference.run(net, images), reference.run(done.network, images)
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor)
    assert spread_gates(done.network, ArrayConfig(batch=2)).network is done.network
