"""Products through the array: a residual meets its gate `cols` cycles late and both meet the sum, on every array."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.config import MemoryConfig
from hwprm.core.errors import MismatchError
from hwprm.intnet import Gate, IntegerNetwork, Residual, Term
from hwprm.isa import entry_format, layer_format
from tests.gateware.test_external_memory import check_stalls, external, tightest
from tests.support.axi_memory import AxiMemory, random_delays
from tests.support.bench import random_images, rom_contents, run_checked
from tests.support.networks import Spec, compiled, network, weights
from tests.support.random_networks import random_products, random_residuals
from tests.support.rounds import long_round

ARRAYS = [(1, 1), (2, 17), (3, 20), (4, 3), (5, 8), (1, 6), (7, 1)]


def block(*, filters: int = 5, size: tuple[int, int] = (2, 3), unsigned: bool = False) -> IntegerNetwork:
    """Squeeze and excitation, and a product with another map; then a convolution that leaves."""
    rng = np.random.default_rng(filters)
    every = np.arange(filters)
    gate = Gate(source="gate", channel=rng.permutation(filters))
    last = Gate(source="a", channel=every)

    def term(source: str, *shape: int) -> tuple[Term, ...]:
        same = (shape[2] // 2,) * 4 if shape[2:] != size else (0,) * 4
        return (Term(source=source, weight=weights(rng, shape), padding=same),)

    silent = (Term(source="a", weight=np.zeros((filters, 1, 1, 1), np.int64), groups=filters),)
    one = Residual(source="a", channel=every, mult=np.array([1, 0, *(1,) * (filters - 2)]), gate=gate)
    two = Residual(source="scaled", channel=every, mult=np.ones(filters, np.int64), gate=last)
    return network(
        (2, *size),
        (
            Spec(name="a", terms=term("image", filters, 2, 3, 3), relu=unsigned),
            Spec(name="gate", terms=term("a", filters, filters, *size), unsigned=True),
            Spec(name="scaled", terms=silent, residual=one, relu=False),
            Spec(name="squared", terms=silent, residual=two, relu=False),
            Spec(name="c", terms=term("squared", 3, filters, 1, 1), wide=True),
        ),
    )


@pytest.mark.parametrize(
    ("rows", "cols", "pipeline"),
    long_round([(*size, pipeline) for pipeline in ("short", "fast") for size in ARRAYS], quick=3),
)
def test_block_on_any_array(rows: int, cols: int, pipeline: str) -> None:
    program = compiled(block(unsigned=rows % 2 == 0), rows, cols, pipeline=pipeline)
    assert program.hardware.gates and program.hardware.common and program.hardware.residual_bits == 1
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize("seed", long_round([1, 2, 3, 0, *range(4, 10), *range(11, 24)], quick=3))  # 10 is constant
def test_random_networks(seed: int) -> None:
    rows, cols = ARRAYS[seed % len(ARRAYS)]
    options = {"pipeline": ("short", "fast")[seed % 2], "multiplier_stages": 1 + seed % 3}
    program = compiled(random_products(seed, largest=4), rows, cols, **options)
    run_checked(program, random_images(program, 1))


@pytest.mark.parametrize("seed", long_round(range(8), quick=1))
def test_batches(seed: int) -> None:
    """A gate of one pixel is a map there: lanes of several images read together."""
    program = compiled(random_products(seed, largest=4), 4, 3, batch=3, pipeline=("short", "fast")[seed % 2])
    assert not program.hardware.common
    run_checked(program, random_images(program, 6))


@pytest.mark.parametrize("seed", long_round(range(8), quick=0))  # tests/sim/test_products.py has one in every round
def test_external_memory(seed: int) -> None:
    """Gate and residual come without a gap between them, however late the memory is; with the smallest rings."""
    program = tightest(random_products(seed, largest=4), 3, 4, axi_data_bits=64, axi_burst=2, axi_outstanding=2)
    image, ext = program.external.data, program.hardware.external
    memory = AxiMemory(image, ext, timing=MemoryConfig(latency=9, bandwidth="1/3"))
    check_stalls(program, memory, run_checked(program, random_images(program, 2), memory=memory))
    run_checked(program, random_images(program, 2), memory=AxiMemory(image, ext, delays=random_delays(seed)))


@pytest.mark.parametrize("gated", [True, False])
def test_a_tail_whose_first_filters_add_nothing_comes_without_a_gap(gated: bool) -> None:
    """Filter 2 alone has a residual: the list holds the places of the others too, and a slow memory stalls in front."""
    every = np.arange(3)
    gate = Gate(source="image", channel=every[::-1]) if gated else None
    added = Residual(source="image", channel=every, mult=np.array([0, 0, 1]), gate=gate)
    silent = (Term(source="image", weight=np.zeros((3, 1, 1, 1), np.int64), groups=3),)
    kept = (Term(source="image", weight=np.array([1, 0, 0]).reshape(3, 1, 1, 1), groups=3),)
    layer = Spec(name="product", terms=silent if gated else kept, residual=added, wide=True)
    program = external(network((3, 2, 4), (layer,)), 4, 3, axi_data_bits=64, axi_burst=2, axi_outstanding=1)
    assert program.tiles[0].length == (6 if gated else 3)
    memory = AxiMemory(program.external.data, program.hardware.external, delays=random_delays(5))
    run_checked(program, random_images(program, 2), memory=memory)


@pytest.mark.parametrize(("table", "field"), [("entries", "common"), ("layers", "gated")])
def test_each_bit_is_needed(table: str, field: str) -> None:
    program = compiled(block(), 4, 3)
    form = {"entries": entry_format, "layers": layer_format}[table](program.hardware)
    contents = rom_contents(program)
    words = [form.encode(form.decode(word) | {field: 0}) for word in contents[table]]
    assert words != contents[table]
    with pytest.raises(MismatchError, match="^image 0, tensor 'scaled'"):
        run_checked(program, random_images(program, 1), contents=contents | {table: words})


def test_designs_without_products_have_nothing_of_them() -> None:
    hw = compiled(random_residuals(3, largest=3), 4, 3).hardware
    assert not (hw.gates or hw.common)
    assert {"common", "gated"}.isdisjoint(
        field.name for form in (entry_format, layer_format) for field in form(hw).fields
    )
    both = replace(hw, gates=True, common=True)
    assert layer_format(both).width - layer_format(hw).width == entry_format(both).width - entry_format(hw).width == 1
