"""Limits that options, proofs and hardware share; no numpy, which the command line's help does without."""

__all__ = ["ACC_BITS_MAX"]

#: Widest accumulator (bias included): its product with a 16-bit multiplier, plus half, fits 63 bits.
ACC_BITS_MAX = 46
