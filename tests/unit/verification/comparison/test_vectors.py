"""Numbers of the probes as text."""

from __future__ import annotations

import numpy as np

from hwprm.verification.comparison.vectors import hex_values


def test_numbers_with_unknown_digits() -> None:
    text = np.frombuffer(b"00ffx0Ff", np.uint8).reshape(-1, 2)
    assert hex_values(text).tolist() == [0, 255, -1, 255]
