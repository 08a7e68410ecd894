"""Data sets: loaders, checksums, and a real MNIST subset inside the package. numpy only."""

from hwprm.data.dataset import Dataset, split_validation
from hwprm.data.load import load_dataset

__all__ = ["Dataset", "load_dataset", "split_validation"]
