"""Bits on the chip are those of the memories in the emitted Verilog, and a budget is kept or refused with numbers."""

from __future__ import annotations

import re

import pytest

from hwprm.core.errors import ConfigError
from hwprm.emission.core import core_verilog
from tests.support.networks import compiled, small_lenet


@pytest.mark.parametrize("options", [{}, {"weights": "axi"}, {"weights": "axi", "axi_data_bits": 64}])
def test_bits_are_those_of_the_memories(options):
    program = compiled(small_lenet(), 3, 9, **options)
    text = core_verilog(program.hardware).text
    sizes = re.findall(r"\.DEPTH\(32'd(\d+)\),[^;]*?\.WIDTH\(32'd(\d+)\)", text)
    assert len(sizes) >= program.hardware.banks + 7
    assert sum(int(depth) * int(width) for depth, width in sizes) == sum(program.onchip.values())


def test_budget():
    needed = sum(compiled(small_lenet(), 4, 3).onchip.values())
    assert compiled(small_lenet(), 4, 3, onchip_bits=needed)
    message = (
        rf"^the design needs {needed} bits on the chip \(.*activations 4800.*\), array.onchip_bits is {needed - 1}; "
    )
    with pytest.raises(ConfigError, match=message + "keep the weights outside"):
        compiled(small_lenet(), 4, 3, onchip_bits=needed - 1)
    with pytest.raises(ConfigError, match="beats 16384.* is 1000; lower array.axi_entry_buffer, "):
        compiled(small_lenet(), 4, 3, weights="axi", onchip_bits=1000)
