"""Refusals of the data section."""

import re

import pytest

from hwprm.config.data import DataConfig
from hwprm.errors import ConfigError

BAD = [
    ({"name": ""}, "data.name must be the name of a set or a path, not ''"),
    ({"data_dir": ""}, "data.data_dir must be a folder, not ''"),
    ({"download": "yes"}, "data.download must be true or false, not 'yes'"),
    ({"validation": -1}, "data.validation must be 0 or more images, not -1"),
    ({"validation": 0.1}, "data.validation must be 0 or more images, not 0.1"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=[text.split()[0] + str(i) for i, (_, text) in enumerate(BAD)])
def test_refusals(options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        DataConfig(**options)


def test_defaults_are_the_embedded_digits():
    assert DataConfig() == DataConfig(name="mnist", data_dir=None, download=False, validation=0)
