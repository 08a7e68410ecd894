"""Learning rates, step by step."""

import math
from dataclasses import replace

import pytest

from hwprm.config.train import TrainConfig
from hwprm.training import Context, train
from hwprm.training.schedule import learning_rate
from tests.unit.training.synthetic import blobs, tiny_graph

CONFIG = TrainConfig(lr=0.8)


def _rates(steps=20, **options):
    config = replace(CONFIG, **options)
    return [learning_rate(config, step, steps) for step in range(steps)]


def test_cosine_ends_at_a_hundredth():
    rates = _rates(1000)
    assert rates[0] == 0.8 and rates == sorted(rates, reverse=True)
    assert rates[500] == pytest.approx(0.8 * 0.505) and rates[-1] == pytest.approx(0.008, rel=1e-3)


def test_constant():
    assert _rates(schedule="constant") == [0.8] * 20


def test_steps_at_milestones():
    rates = _rates(schedule="step", milestones=(0.25, 0.5), gamma=0.5)
    assert rates == [0.8] * 5 + [0.4] * 5 + [0.2] * 10
    assert _rates(schedule="step", milestones=()) == [0.8] * 20


def test_warmup_rises_to_the_rate_and_the_cosine_spans_the_rest():
    rates = _rates(warmup=0.2)
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8]) and rates[4] == 0.8
    rest = [0.8 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * k / 16))) for k in range(16)]
    assert rates[4:] == pytest.approx(rest)


def test_warmup_of_a_part_of_a_step_never_exceeds_the_rate():
    assert max(_rates(warmup=0.125, schedule="constant")) == 0.8


def test_the_engine_follows_it():
    config = TrainConfig(epochs=4, batch=30, schedule="step", milestones=(0.5,), gamma=0.25, warmup=0.25, lr=1e-3)
    log = train(tiny_graph(), blobs(), Context(config=config)).meta["log"]
    assert [entry["lr"] for entry in log] == pytest.approx([1e-3, 1e-3, 2.5e-4, 2.5e-4])
