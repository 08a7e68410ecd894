"""Data sets: loaders, checksums, and a real MNIST subset inside the package. numpy, and Pillow for image files."""

from hwprm.data.dataset import Dataset, split_validation
from hwprm.data.load import load_dataset
from hwprm.data.memory import is_memory, set_in_memory
from hwprm.data.pictures import Preparation

__all__ = ["Dataset", "Preparation", "is_memory", "load_dataset", "set_in_memory", "split_validation"]
