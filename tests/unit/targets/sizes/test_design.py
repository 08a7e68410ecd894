"""Designs that the size model does not know."""

from __future__ import annotations

import pytest

from hwprm import api
from hwprm.config import ArrayConfig
from hwprm.core.errors import UnsupportedError
from tests.support.tables import tabled_network


def test_activation_tables_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"does not know activation tables yet.*use `hwprm synth`"):
        api.size(tabled_network(), ArrayConfig(rows=3, cols=2))
    assert api.estimate(tabled_network(), ArrayConfig(rows=3, cols=2)).total > 0
