"""Small pieces that several blocks share: delays, mixed-radix addition, rotations, multiplexers."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from hwprm.isa import Hardware

__all__ = ["add_bank", "add_carry", "add_mixed", "delay", "multiplex", "rotate_left", "rotate_right", "staged"]


def delay(m: Module, value, cycles: int, *, name: str, reset_less: bool = True):
    """`value` `cycles` clock cycles later, through registers called ``<name>_<i>``."""
    for i in range(cycles):
        stage = Signal(value.shape(), name=f"{name}_{i}", reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def staged(m: Module, hw: Hardware, value, *, name: str):
    """`value` through a register where the design's pipeline is fast, as it is where it is short."""
    return delay(m, value, int(hw.fast), name=name)


def add_carry(a, b, carry):
    """``a + b + carry`` in one carry chain, as wide as `a`: `carry`, one bit, comes in below the least significant.

    An addition of three terms would become two chains, or a row of full adders before one.
    """
    return (Cat(Const(1, 1), a) + Cat(carry, b))[1 : len(a) + 1]


def add_mixed(m: Module, banks: int, a, b, *, name: str):
    """``(word, bank)`` of the sum of two mixed-radix addresses, given and returned as pairs of values."""
    (a_word, a_bank), (b_word, b_bank) = a, b
    bank, carry = add_bank(m, banks, a_bank, b_bank, name=name)
    word = Signal(len(a_word), name=f"{name}_word")
    m.d.comb += word.eq(add_carry(a_word, b_word, carry))
    return word, bank


def add_bank(m: Module, banks: int, a, b, *, name: str):
    """``(bank, carry)`` of the sum of two banks: its remainder modulo `banks`, and whether a word is complete."""
    total = Signal(range(2 * banks), name=f"{name}_total")
    carry = Signal(name=f"{name}_carry")
    bank = Signal(range(max(2, banks)), name=f"{name}_bank")
    m.d.comb += [total.eq(a + b), carry.eq(total >= banks), bank.eq(Mux(carry, total - banks, total))]
    return bank, carry


def rotate_left(m: Module, items: Sequence[Value], amount: Value, *, name: str) -> list[Value]:
    """``out[j] = items[(j + amount) mod n]`` for amount in 0..n-1, as a barrel of n-item stages."""
    return _rotate(m, items, amount, 1, name)


def rotate_right(m: Module, items: Sequence[Value], amount: Value, *, name: str) -> list[Value]:
    """``out[j] = items[(j - amount) mod n]`` for amount in 0..n-1."""
    return _rotate(m, items, amount, -1, name)


def _rotate(m: Module, items: Sequence[Value], amount: Value, sign: int, name: str) -> list[Value]:
    n, width = len(items), len(items[0])
    current = list(items)
    for bit in range((n - 1).bit_length()):
        turned = [current[(j + sign * (1 << bit)) % n] for j in range(n)]
        stage = Signal(n * width, name=f"{name}_stage{bit}")
        m.d.comb += stage.eq(Mux(amount[bit], Cat(*turned), Cat(*current)))
        current = [stage[j * width : (j + 1) * width] for j in range(n)]
    return current


def multiplex(values: Sequence[Value], select: Value) -> Value:
    """``values[select]`` as a balanced tree; anything for a select past the end."""
    values = list(values)
    bit = 0
    while len(values) > 1:
        if len(values) % 2:
            values.append(Const(0, Shape.cast(values[0].shape())))
        values = [Mux(select[bit], odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
        bit += 1
    return values[0]
