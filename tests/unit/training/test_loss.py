"""The loss against formulas written out in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config.train import TrainConfig
from hwprm.training.loss import Mixed, training_loss

RNG = np.random.default_rng(5)
OUTPUT, TAUGHT = RNG.normal(0, 2, (7, 4)), RNG.normal(0, 3, (7, 4))
LABELS = RNG.integers(0, 4, 7)


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _cross_entropy(smoothing=0.0):
    wanted = np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    return float(-(wanted * np.log(_softmax(OUTPUT))).sum(axis=1).mean())


def _loss(config, taught=None):
    taught = None if taught is None else torch.from_numpy(taught)
    return float(training_loss(torch.from_numpy(OUTPUT), torch.from_numpy(LABELS), taught, config))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    assert _loss(TrainConfig(label_smoothing=smoothing)) == pytest.approx(_cross_entropy(smoothing), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_an_image_shows_of_others_counts_with_its_share(smoothing):
    other, share = RNG.integers(0, 4, 7), RNG.random(7)
    config = TrainConfig(label_smoothing=smoothing)
    mixed = Mixed(labels=torch.from_numpy(other), share=torch.from_numpy(share))
    found = training_loss(torch.from_numpy(OUTPUT), torch.from_numpy(LABELS), None, config, mixed)
    wanted = (1 - share)[:, None] * np.eye(4)[LABELS] + share[:, None] * np.eye(4)[other]
    wanted = wanted * (1 - smoothing) + smoothing / 4
    expected = float(-(wanted * np.log(_softmax(OUTPUT))).sum(axis=1).mean())
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_distillation_is_the_weighted_sum_with_the_divergence_from_the_teacher(share, temperature):
    teacher, own = _softmax(TAUGHT / temperature), _softmax(OUTPUT / temperature)
    divergence = float((teacher * (np.log(teacher) - np.log(own))).sum(axis=1).mean())
    expected = (1 - share) * _cross_entropy(0.1) + share * temperature**2 * divergence
    config = TrainConfig(distill=share, temperature=temperature, label_smoothing=0.1)
    assert _loss(config, TAUGHT) == pytest.approx(expected, rel=1e-12)


def test_a_network_that_gives_what_the_teacher_gives_has_nothing_left_to_learn_from_it():
    assert _loss(replace(TrainConfig(), distill=1.0), OUTPUT) == pytest.approx(0.0, abs=1e-12)


def test_gradient_at_high_temperature_does_not_fade():
    """With T^2 the gradient tends to the difference of centred logits over the classes, at any T."""
    output = torch.from_numpy(OUTPUT).requires_grad_()
    config = TrainConfig(distill=1.0, temperature=1000.0)
    training_loss(output, torch.from_numpy(LABELS), torch.from_numpy(TAUGHT), config).backward()

    def centred(x):
        return x - x.mean(axis=1, keepdims=True)

    np.testing.assert_allclose(output.grad.numpy(), (centred(OUTPUT) - centred(TAUGHT)) / 4 / 7, rtol=0.02, atol=1e-3)
