"""Whether Python looks for garbage: not inside, and afterwards as before."""

from __future__ import annotations

import gc

import pytest

from hwprm.core.garbage import without_collection


@pytest.mark.parametrize("before", [True, False])
def test_it_is_as_before_afterwards(before: bool) -> None:
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(ZeroDivisionError), without_collection():
            assert not gc.isenabled()
            1 / 0  # noqa: B018  # raises
        assert gc.isenabled() == before
    finally:
        gc.enable()
