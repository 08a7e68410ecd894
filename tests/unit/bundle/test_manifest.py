"""Where in its tensor a layer's filters and pixels lie, as the probes count them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.manifest import LayerEntry, check_manifest
from tests.support.silicon import make_bundle


@pytest.mark.parametrize("phases", [1, 2, 3, 6])
def test_filters_and_pixels_with_phases_fill_the_tensor(phases: int) -> None:
    """Filter c * P + i makes the pixels of column P * x + i of channel c."""
    entry = LayerEntry(index=0, name="a", shape=(2, 3, 6), wide=False, phases=phases)
    filters, pixels = entry.drained
    assert (filters, pixels) == (2 * phases, 18 // phases)
    numbers, pixel = np.divmod(np.arange(filters * pixels), pixels)
    channel, row, column = np.unravel_index(entry.index_of(numbers, pixel), entry.shape)
    y, x = np.divmod(pixel, 6 // phases)
    assert np.array_equal(channel, numbers // phases)
    assert np.array_equal(row, y)
    assert np.array_equal(column, x * phases + numbers % phases)


@pytest.mark.parametrize(("phases", "words"), [(0, "phases: 0 is outside"), (5, "has 5 phases in rows of")])
def test_phases_that_no_layer_has(phases: int, words: str, tmp_path: Path) -> None:
    manifest = Bundle.load(make_bundle(tmp_path / "b")).manifest
    (layer,) = manifest.layers
    wide = replace(manifest.array, cols=8)
    with pytest.raises(ValueError, match=words):
        check_manifest(replace(manifest, array=wide, layers=(replace(layer, shape=(2, 1, 2), phases=phases),)))


def test_lanes_over_channels_are_places_as_they_stand() -> None:
    entry = LayerEntry(index=0, name="a", shape=(5, 1, 1), wide=False, channel_lanes=True)
    assert entry.drained == (1, 5)
    assert entry.index_of(np.zeros(5, np.int64), np.arange(5)).tolist() == [0, 1, 2, 3, 4]
