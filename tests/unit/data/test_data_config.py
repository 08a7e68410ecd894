"""Refusals of the data section."""

import re

import pytest

from hwprm.config.data import DataConfig
from hwprm.core.errors import ConfigError

BAD = [
    ({"name": ""}, "data.name must be text that is not empty, not ''"),
    ({"data_dir": ""}, "data.data_dir must be text that is not empty or none, not ''"),
    ({"download": "yes"}, "data.download must be true or false, not 'yes'"),
    ({"validation": -1}, "data.validation must be a whole number of 0 or more images, not -1"),
    ({"random_crop": 1}, "data.random_crop must be true or false, not 1"),
    ({"image_size": 0}, "data.image_size must be a whole number in 1..4096 pixels, not 0"),
    ({"image_size": 32.0}, "data.image_size must be a whole number in 1..4096 pixels, not 32.0"),
    ({"min_side": 0}, "data.min_side must be a whole number in 1..4096 pixels, not 0"),
    ({"workers": 257}, "data.workers must be a whole number in 1..256, not 257"),
    ({"resize": 200}, "data.resize must be at least data.image_size (224) pixels, not 200"),
    ({"crop_area": 0}, "data.crop_area must be a number above 0 and at most 1, not 0"),
    ({"crop_area": float("nan")}, "data.crop_area must be a number above 0 and at most 1, not nan"),
    ({"validation": 0.1}, "data.validation must be a whole number of 0 or more images, not 0.1"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=[text.split()[0] + str(i) for i, (_, text) in enumerate(BAD)])
def test_refusals(options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        DataConfig(**options)


def test_defaults_are_the_embedded_digits():
    assert DataConfig() == DataConfig(name="mnist", data_dir=None, download=False, validation=0)
