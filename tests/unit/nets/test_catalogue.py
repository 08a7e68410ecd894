"""The reference networks: the weights that papers count, torchvision's parameter names, seeds, the named sources."""

import numpy as np
import pytest
import torch

from hwprm.core.errors import InputError
from hwprm.frontend import to_graph
from hwprm.graph import Conv2d
from hwprm.nets import NETWORKS, reference_network
from hwprm.sources import as_model


@pytest.mark.parametrize(
    ("name", "weights", "some"),
    [
        ("fast8-cifar", 1_967_904, {"features.0.bias", "features.11.running_var", "classifier.weight"}),
        ("vgg16-cifar", 14_710_464, {"features.0.weight", "features.41.running_var", "classifier.bias"}),
        ("resnet18-cifar", 11_159_232, {"conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias"}),
        ("alexnet", 2_468_544, {"features.10.bias", "classifier.1.weight", "classifier.6.weight"}),
        ("resnet18", 11_166_912, {"bn1.running_mean", "layer4.0.downsample.1.weight", "fc.weight"}),
        ("resnet50", 23_454_912, {"layer1.0.downsample.0.weight", "layer4.2.conv3.weight", "layer3.5.bn3.weight"}),
    ],
)
def test_convolution_weights_and_names(name, weights, some):
    state = reference_network(name).state_dict()
    assert sum(value.numel() for value in state.values() if value.dim() == 4) == weights
    assert some <= state.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_narrow_networks_become_graphs_of_the_same_function(name):
    module = reference_network(name, 1, width=1 / 16, classes=4).eval()
    graph = to_graph(module, NETWORKS[name].image)
    assert graph.shapes[graph.outputs[0]] == (4,)
    convolutions = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == sum(isinstance(node, Conv2d) for node in graph.nodes)


def test_the_seed_decides_and_the_global_state_stays():
    before = torch.random.get_rng_state()
    one, same, other = (reference_network("vgg16-cifar", seed, width=1 / 16).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one["features.3.weight"], same["features.3.weight"])
    assert not torch.equal(one["features.3.weight"], other["features.3.weight"])


def test_known_by_name_to_every_verb():
    model = as_model("resnet18-cifar", (3, 32, 32))
    assert model.graph.shapes["fc"] == (10,) and np.isfinite(model.graph.by_name["conv1"].weight).all()
    with pytest.raises(InputError, match="did you mean 'vgg16-cifar'"):
        as_model("vgg16-cifr", (3, 32, 32))


def test_bad_options_are_refused():
    for options in ({"width": 0.5}, {"classes": 3}):
        with pytest.raises(InputError, match="lenet5"):
            reference_network("lenet5", **options)
    with pytest.raises(InputError, match="known are lenet5, vgg16-cifar"):
        reference_network("vgg11")
    with pytest.raises(InputError, match="width"):
        reference_network("alexnet", width=0)
