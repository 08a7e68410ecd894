"""Images in memory, in the forms in which Python programs hand them about."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from hwprm.core.errors import DataError
from hwprm.sources import as_dataset

X = np.random.default_rng(0).normal(size=(10, 1, 4, 4)).astype(np.float32)
Y = np.arange(10) % 2


class Pictures(Dataset):
    """Pictures of Pillow, with labels."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.fromarray(np.full((4, 5, 3), i, np.uint8)), i % 2


FORMS = {
    "array": X,
    "tensor": torch.from_numpy(X).clone().requires_grad_(),
    "images alone": (X,),
    "pair": (X, Y),
    "pair of tensors": (torch.from_numpy(X), torch.from_numpy(Y)),
    "with a test split": (X, Y, X[:4], Y[:4]),
    "mapping": {"x": X, "y": torch.from_numpy(Y)},
    "data set": TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
    "loader": DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=3, shuffle=True),
    "images of a data set": TensorDataset(torch.from_numpy(X)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_images(form: str) -> None:
    ds = as_dataset(FORMS[form])
    unlabelled = form in ("array", "tensor", "images alone", "images of a data set")
    assert (ds.image_shape, ds.classes) == ((1, 4, 4), 0 if unlabelled else 2)
    found = ds.x_train if form == "with a test split" else np.concatenate([ds.x_train, ds.x_test])
    assert sorted(np.asarray(found)[:, 0, 0, 0].tolist()) == sorted(X[:, 0, 0, 0].tolist())


def test_pictures_become_bytes() -> None:
    ds = as_dataset(Pictures())
    assert (ds.image_shape, ds.x_train.dtype, ds.classes, ds.input_scale) == ((3, 4, 5), np.uint8, 2, 1 / 255)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((X, Y, X), r"data \(tuple\) has 3 parts; give x, \(x, y\)"),
        ({"a": X, "b": Y}, r"data \(dict\) holds a, b; it needs an array named x"),
        ((X, Y[:9]), "10 images in x but 9 labels in y"),
    ],
    ids=["parts", "names", "counts"],
)
def test_bad_forms(data: object, text: str) -> None:
    with pytest.raises(DataError, match=text):
        as_dataset(data)
