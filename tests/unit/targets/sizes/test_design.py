"""Designs that the size model does not know."""

from __future__ import annotations

import pytest

from hwprm import api
from hwprm.config import ArrayConfig
from hwprm.core.errors import UnsupportedError
from hwprm.intnet import IntegerNetwork
from tests.support.random_networks import random_products
from tests.support.tables import tabled_network


@pytest.mark.parametrize(
    ("net", "what"), [(tabled_network(), "activation tables"), (random_products(1), "products of two tensors")]
)
def test_what_it_does_not_know_is_refused(net: IntegerNetwork, what: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"does not know {what} yet.*use `hwprm synth`"):
        api.size(net, ArrayConfig(rows=3, cols=2))
    assert api.estimate(net, ArrayConfig(rows=3, cols=2)).total > 0
