"""Float graph to integer network, and the integer reference in torch."""

from hwprm.quantize.accuracy import stored_accuracy
from hwprm.quantize.compare import crosscheck, signal_to_noise
from hwprm.quantize.emulate import integer_accuracy, run_torch
from hwprm.quantize.fold import fold_batchnorm
from hwprm.quantize.lower import FusedLayer, FusedNetwork, lower
from hwprm.quantize.network import quantise_images, quantise_network

__all__ = [
    "FusedLayer",
    "FusedNetwork",
    "crosscheck",
    "fold_batchnorm",
    "integer_accuracy",
    "lower",
    "quantise_images",
    "quantise_network",
    "run_torch",
    "signal_to_noise",
    "stored_accuracy",
]
