"""The memory map: blocks as the plan lays them out, and where they are drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from hwprm.reporting.page.memory import HEAD, HEIGHT, Block, axis_picture, blocks, memory_picture, steps_named
from tests.support.networks import SEVERAL_INPUTS, compiled, lenet, small_lenet
from tests.support.random_networks import random_network


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 4, 6, 7, *SEVERAL_INPUTS])
def test_no_two_tensors_share_a_word(seed: int | str | None) -> None:
    made = {None: small_lenet, **SEVERAL_INPUTS}
    net = made[seed]() if seed in made else random_network(seed)
    program = compiled(net, 3, 2)
    found = blocks(program.network, program.memory_map.placements)
    for one, other in combinations(found, 2):
        together = one.first <= other.last and other.first <= one.last
        overlap = one.base < other.base + other.words and other.base < one.base + one.words
        assert not (together and overlap), (one, other)
    assert max(block.base + block.words for block in found) == program.memory_map.words


def test_lives_are_those_of_the_network() -> None:
    program = compiled(lenet((2, 3, 4, 5), image=14, kernel=3), 2, 2)
    found = {block.name: block for block in blocks(program.network, program.memory_map.placements)}
    lives = {name: (block.first, block.last) for name, block in found.items()}
    assert lives == {"image": (0, 3), "next image": (0, 3), "conv1": (0, 1), "conv2": (1, 2), "fc1": (2, 3)}
    assert found["next image"].base == found["image"].base + found["image"].words


def test_rectangles_are_the_blocks() -> None:
    found = (Block(name="a", base=0, words=50, first=0, last=0), Block(name="<b>", base=50, words=25, first=1, last=3))
    svg = memory_picture(found, 100, ["one", "two", "three", "four"], 16)
    rects = [rect for rect in ET.fromstring(svg).iter("rect") if rect.attrib["class"].startswith("block")]
    places = [tuple(rect.attrib[key] for key in ("x", "y", "width", "height")) for rect in rects]
    assert places == [
        ("0%", str(HEAD), "25%", str(HEIGHT // 2)),
        ("25%", str(HEAD + HEIGHT // 2), "75%", str(HEIGHT // 4)),
    ]
    assert rects[1][0].text == "<b>: words 50 to 74, 400 bits, layers 2 to 4"
    assert svg == memory_picture(found, 100, ["one", "two", "three", "four"], 16)


def test_names_that_do_not_fit_are_left_to_the_table() -> None:
    few, many = ["conv1", "fc"], [f"layer{i}" for i in range(20)]
    assert steps_named(few)
    assert not steps_named(many)
    block = Block(name="a_rather_long_name", base=0, words=10, first=0, last=0)
    texts = [text.text for text in ET.fromstring(memory_picture((block,), 10, many, 8)).iter("text")]
    assert texts == [str(i + 1) for i in range(20)]
    assert "a_rather_long_name" in [
        text.text for text in ET.fromstring(memory_picture((block,), 10, ["x"], 8)).iter("text")
    ]


def test_axis_counts_words() -> None:
    assert re.findall(r">([\d,]+)<", axis_picture(4000)) == ["0", "1,000", "2,000", "3,000", "4,000"]
