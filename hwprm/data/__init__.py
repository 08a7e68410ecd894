"""Data sets: loaders, checksums, and a real MNIST subset inside the package. numpy, and Pillow for image files."""

from hwprm.data.dataset import Dataset, split_validation
from hwprm.data.load import load_dataset
from hwprm.data.pictures import Preparation

__all__ = ["Dataset", "Preparation", "load_dataset", "split_validation"]
