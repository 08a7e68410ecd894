"""Float graph to integer network, and the integer reference in torch."""

from hwprm.intnet import quantize_images
from hwprm.quantization.accuracy import stored_accuracy
from hwprm.quantization.calibration import Trained
from hwprm.quantization.compare import crosscheck, signal_to_noise
from hwprm.quantization.emulate import integer_accuracy, run_torch
from hwprm.quantization.lowering.fold import fold_batchnorm
from hwprm.quantization.lowering.lower import FusedLayer, FusedNetwork, lower
from hwprm.quantization.network import quantize_network
from hwprm.quantization.quality import Quality, measure_quality

__all__ = [
    "FusedLayer",
    "FusedNetwork",
    "Quality",
    "Trained",
    "crosscheck",
    "fold_batchnorm",
    "integer_accuracy",
    "lower",
    "measure_quality",
    "quantize_images",
    "quantize_network",
    "run_torch",
    "signal_to_noise",
    "stored_accuracy",
]
