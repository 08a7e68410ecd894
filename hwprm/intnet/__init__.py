"""Integer networks: what quantisation makes, both references run, and the compiler reads. numpy only."""

from hwprm.intnet.images import image_limits, image_shape, pack_images, split_images
from hwprm.intnet.layers import Gate, GemmLayer, Pool, Residual, Tensor, Term
from hwprm.intnet.network import IntegerNetwork
from hwprm.intnet.stored import quantize_images, real_images

__all__ = [
    "Gate",
    "GemmLayer",
    "IntegerNetwork",
    "Pool",
    "Residual",
    "Tensor",
    "Term",
    "image_limits",
    "image_shape",
    "pack_images",
    "quantize_images",
    "real_images",
    "split_images",
]
