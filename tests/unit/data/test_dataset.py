"""What every data set has in common."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hwprm.data import Dataset


def test_images_are_hashed_once_however_often_a_set_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    sha256 = hashlib.sha256

    def counted(data: bytes = b"") -> hashlib._Hash:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr(hashlib, "sha256", counted)
    x, y = np.zeros((4, 1, 2, 2), np.uint8), np.arange(4) % 2
    data = Dataset(name="a", source="b", x_train=x, y_train=y, x_test=x, y_test=y, classes=2)
    assert data.fingerprint == data.fingerprint
    assert len(hashed) == 1
