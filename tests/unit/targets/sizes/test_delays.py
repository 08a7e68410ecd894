"""Paths that synthesis maps for speed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.isa import entry_format, layer_format, store_format, table_formats
from hwprm.targets.sizes.columns import Columns
from hwprm.targets.sizes.delays import LONGEST, carried, hurried, hurried_images, through
from hwprm.targets.sizes.design import Design
from hwprm.targets.sizes.luts import luts
from hwprm.targets.sizes.memories import Contents
from tests.support.random_networks import random_products

#: A path that is as long as no design's own, and one that is not.
LONG, SHORT = LONGEST + 400, LONGEST


def _design(*, gaps: bool = False, heights: bool = True, **changes: Any) -> Design:
    """On few coordinates, its stores' rows one behind another or with gaps, its maps of any heights or of one; all else
    of its tables may be anything.
    """
    program = compile_network(random_products(1), ArrayConfig(rows=3, cols=2))
    hardware = replace(program.hardware, **{"coordinate_bits": 3} | changes)
    widths = {name: form.width for name, (form, _) in table_formats(hardware).items() if name != "posts"}
    widths |= {"entries": entry_format(hardware).width, "weights": hardware.cols * hardware.weight_bits}
    columns = {name: Columns.free(20, width) for name, width in widths.items()}
    first: list[int] = []
    for field in store_format(hardware).fields:
        empty = field.name in ("gap_word", "gap_bank") and not gaps
        first += [-1 if empty else len(first) + k for k in range(field.width)]
    columns["stores"] = Columns(20, tuple(first))
    if not heights:
        fields = [field.name == "height" for field in layer_format(hardware).fields for _ in range(field.width)]
        columns["layers"] = Columns(20, tuple(-1 if height else at for at, height in enumerate(fields)))
    return Design(hardware=hardware, contents=Contents(hardware, columns))


def test_delays_as_the_tool_has_them() -> None:
    """Of netlists, timed by the delays of their LUTs: three choices end at 1,829; from 2,280 a sum of 18 bits ends at
    3,370.
    """
    assert through(3) == 1829
    assert carried(18) == pytest.approx(3370 - 2280, abs=50)


def test_the_longer_path_takes_more() -> None:
    design = _design()
    assert hurried(SHORT, design) == 0
    assert hurried(LONG + 100, design) > hurried(LONG, design) > 0


@pytest.mark.parametrize(
    "changes",
    [{"gaps": True}, {"coordinate_bits": 4}, {"batch": 2}, {"pipeline": "fast"}],
    ids=["gaps", "coordinates", "batch", "fast"],
)
def test_nothing_where_other_paths_are_longer(changes: dict[str, Any]) -> None:
    assert hurried(LONG, _design(**changes)) == 0


def _hurried(**changes: Any) -> float:
    return luts(_design(banks=7, **changes))["parts"]["hurried memories"]


def test_words_of_many_lut_rams_end_a_long_path() -> None:
    """Behind the address, chosen by the stride and turned: of seven one behind another they do, of one they do not."""
    assert _hurried(memory_words=16, strides=(1, 2)) == 0
    assert _hurried(memory_words=112, strides=(1, 2)) > _hurried(memory_words=112, strides=(1,)) > 0
    assert _hurried(memory_words=112, strides=(1, 2), gaps=True) == 0


def test_a_requantisers_barrel_is_a_long_path() -> None:
    """Of more shifts longer; and with gaps it is no longer than a store's address."""
    barrels = [luts(_design(gaps=gaps))["drain"]["hurried barrel"] for gaps in (False, True)]
    assert barrels[0] > barrels[1] == 0


#: A batch whose lanes' way is the longest.
BATCH = {"batch": 2, "banks": 5, "apart": False, "image_gaps": False}


def _words(**changes: Any) -> float:
    """LUTs that the lanes of a batch take more for their words."""
    return luts(_design(**BATCH | changes))["lanes"]["hurried words"]


def test_a_batchs_lanes_end_the_longest_path() -> None:
    """Each bit that may be added takes more; the less the longer the path is anyway: as of wide words, or a store's."""
    assert _words() > _words(image_gaps=True) > 0
    assert _words(rows=6) == 2 * _words()
    wide, narrow = (hurried_images(_design(**BATCH, memory_words=words)) for words in (1 << 20, 1 << 8))
    assert 0 < wide < narrow


def test_where_rows_are_compared_in_chains_nothing_is_hurried() -> None:
    """Of coordinates of four bits they are, but where all maps are as high; of two bits the way is short."""
    assert [bits for bits in range(2, 7) if _words(coordinate_bits=bits)] == [3]
    assert _words() > _words(coordinate_bits=4, heights=False) > 0


@pytest.mark.parametrize("changes", [{"batch": 1}, {"apart": True}, {"banks": 13}], ids=["one", "apart", "banks"])
def test_lanes_whose_way_is_not_the_longest(changes: dict[str, Any]) -> None:
    assert _words(**changes) == 0
    assert _words(banks=16) > 0


def test_lanes_of_the_fast_pipeline_are_cut() -> None:
    assert hurried_images(_design(**BATCH, pipeline="fast")) == 0
