"""The tests of the testbenches by name."""

from __future__ import annotations

from hwprm.verification.modes.protocol import test_names as names_of_tests


def test_names_of_the_testbenches() -> None:
    assert names_of_tests("bulk") == ["stream"]
    assert names_of_tests("external") == ["memory_error", "reset_in_boot"]
    assert {"registers", "reset_in_mid_image", "short_image", "long_image"} < set(names_of_tests("protocol"))
