"""Whether a multiple of a number leaves a remainder within a range: exact, in the time of Euclid's algorithm."""

from __future__ import annotations

__all__ = ["leaves"]


def leaves(factor: int, modulus: int, between: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether an integer x of `between`, ends included, has ``wanted[0] <= factor * x % modulus <= wanted[1]``.

    factor >= 0, ``0 <= wanted[0] <= wanted[1] < modulus``. 3 * x % 8 for x in 1..2 is 3 and 6, hence

    ``leaves(3, 8, (1, 2), (4, 5)) == False``, ``leaves(3, 8, (1, 2), (6, 7)) == True``.
    """
    first, last = between
    if first > last:
        return False
    begin = factor * first
    low, high = ((end - begin) % modulus for end in wanted)
    if low > high:
        return True  # the range goes over 0, which x = first leaves
    steps = _steps(factor % modulus, modulus, low, high)
    return steps is not None and steps <= last - first


def _steps(factor: int, modulus: int, low: int, high: int) -> int | None:
    """The least x >= 0 with ``low <= factor * x % modulus <= high``; None where there is none."""
    if low == 0:
        return 0
    if factor == 0:
        return None
    if 2 * factor > modulus:  # the same from the other side
        return _steps(modulus - factor, modulus, modulus - high, modulus - low)
    x = -(-low // factor)
    if factor * x <= high:
        return x
    # No multiple below the modulus lies in the range: how often the modulus has to be passed is the same question.
    passed = _steps(-modulus % factor, factor, low % factor, high % factor)
    return None if passed is None else -(-(low + modulus * passed) // factor)
