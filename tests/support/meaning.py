"""That a module means the same everywhere: in torch, as a graph, in integers twice, as ROM contents, in hardware."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, QuantizeConfig
from hwprm.frontend import to_graph
from hwprm.graph import evaluate
from hwprm.intnet import IntegerNetwork, reference
from hwprm.nets import GraphModule
from hwprm.quantization import crosscheck, quantize_images, quantize_network
from tests.support.bench import run_checked
from tests.support.interpreter import Interpreter

__all__ = ["assert_same_meaning"]


def assert_same_meaning(
    module: nn.Module, x: NDArray[np.float64], *, simulated: bool = False
) -> tuple[IntegerNetwork, dict[str, NDArray[np.int64]]]:
    """`module`, in float64 and evaluation mode, on images `x` ``(n, C, H, W)``: the graph, as it is evaluated and as it
    is trained, equals torch; 16 bits come close to that; in 8 bits both references, the ROM contents of a 4 x 3 array
    and, where `simulated`, the accelerator are equal. Returns the network of 8 bits and its tensors.
    """
    graph = to_graph(module, x.shape[1:])
    with torch.no_grad():
        results, trained = (made(torch.from_numpy(x)) for made in (module, GraphModule(graph).eval()))
    floats = evaluate(graph, x)
    fine = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    integers = reference.run(fine, quantize_images(x, 1.0, fine))
    for name, tensor, result, other in zip(graph.outputs, fine.outputs, _all(results), _all(trained), strict=True):
        wanted = result.numpy()
        np.testing.assert_allclose(floats[name], wanted, atol=1e-12)
        np.testing.assert_allclose(other.numpy(), wanted, atol=1e-12)
        real = integers[tensor] * fine.tensor[tensor].scale
        np.testing.assert_allclose(real.reshape(wanted.shape), wanted, atol=2e-3 * np.abs(wanted).max())
    net = quantize_network(graph, x, 1.0)
    stored = quantize_images(x, 1.0, net)
    found = reference.run(net, stored)
    assert crosscheck(net, stored, found) > 0
    program = compile_network(net, ArrayConfig(rows=4, cols=3))
    words = [found[name][0].ravel() for name in program.layers if name in net.outputs]
    np.testing.assert_array_equal(Interpreter(program).run(stored[0])["output"], np.concatenate(words))
    if simulated:
        run_checked(program, stored[:1])
    return net, found


def _all(results: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)
