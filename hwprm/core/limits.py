"""Limits that options, proofs and hardware share; no numpy, which the command line's help does without."""

__all__ = ["ACC_BITS_MAX", "RESET_CYCLES"]

#: Widest accumulator (bias included): its product with a 16-bit multiplier, plus half, fits 63 bits.
ACC_BITS_MAX = 46

#: Rising edges of the clock that a design has to be in reset for, and that every test bench holds it: as many as the
#: first words of all tables need to stand where they are used.
RESET_CYCLES = 8
