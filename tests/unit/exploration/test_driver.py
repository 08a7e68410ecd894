"""Sweeps: every point once, resumed, with workers, and studies of something else refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwprm import api
from hwprm.config import AdmmConfig, ArrayConfig, DataConfig, ExploreConfig, PruneOptions, QuantizeConfig, Settings
from hwprm.config.presets import HELD_OUT, explore_defaults
from hwprm.config.run import RunConfig
from hwprm.core.errors import ConfigError, DataError, InputError, UnsupportedError
from hwprm.exploration import Study, explore
from hwprm.exploration.kept import kept_settings
from hwprm.exploration.points import POINTS
from hwprm.sources import as_dataset
from tests.support.networks import small_lenet

SPACE = ExploreConfig(rows="1..3", cols="1,2", weight_bits="8,4")


@pytest.fixture
def settings(tiny_data: Path) -> Settings:
    """Options with the tiny data, a part held out."""
    return Settings(data=DataConfig(name=str(tiny_data), validation=30))


def test_every_point_is_what_the_verbs_say(tiny_model: Path, settings: Settings, tmp_path: Path) -> None:
    study = explore(tiny_model, SPACE, out=tmp_path / "study", settings=settings)
    assert [point.number for point in study.points] == list(range(12)) and study.size == 12
    for point in study.points:
        net = api.quantize(tiny_model, settings.data, QuantizeConfig(weight_bits=point.options["quantize.weight_bits"]))
        array = ArrayConfig(rows=point.options["array.rows"], cols=point.options["array.cols"])
        assert point.values["cycles"] == api.estimate(net, array).total
    front = study.front()
    assert front and all(point.test_accuracy is not None for point in front)
    assert all(point.test_accuracy is None for point in study.points if point not in front)
    assert Study.load(tmp_path / "study") == replace(study, about=json.loads(json.dumps(dict(study.about))))


def test_a_sweep_goes_on(tiny_model: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explore(tiny_model, SPACE, out=tmp_path / "whole", settings=settings)
    explore(tiny_model, SPACE, out=tmp_path / "study", settings=settings)
    file = tmp_path / "study" / POINTS
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5]) + lines[5][:11])  # as a kill leaves it
    computed = []
    monkeypatch.setattr("hwprm.exploration.evaluate.measure_all", _counting(computed))
    again = explore(tiny_model, SPACE, out=tmp_path / "study", settings=settings)
    assert sum(computed) == 12 - 5
    assert again.points == whole.points and again.csv() == whole.csv()
    computed.clear()
    explore(tiny_model, SPACE, out=tmp_path / "study", settings=settings)
    assert not computed


def _counting(computed: list[int]) -> Callable[..., Any]:
    from hwprm.exploration.measure import measure_all

    def count(net: Any, points: Any) -> Any:
        computed.append(len(points))
        return measure_all(net, points)

    return count


def test_two_workers_find_the_same(tiny_model: Path, settings: Settings, tmp_path: Path) -> None:
    one = explore(tiny_model, SPACE, out=tmp_path / "one", settings=settings)
    two = explore(tiny_model, replace(SPACE, workers=2), out=tmp_path / "two", settings=settings)
    assert two.points == one.points and two.csv(front=True) == one.csv(front=True)


def test_of_small_data_a_fifth_is_held_out(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    usual = replace(explore_defaults(), data=DataConfig(name=str(tiny_data), validation=HELD_OUT))
    training = len(as_dataset(tiny_data).x_train)
    study = explore(tiny_model, ExploreConfig(rows="1,2"), out=tmp_path / "study", settings=usual)
    assert study.about["judged"] == training // 5 and "accuracy" in study.measured
    assert kept_settings(study.folder).data.validation == training // 5  # what building a point holds out, too
    asked = replace(usual, data=replace(usual.data, validation=training))
    with pytest.raises(DataError, match="validation images asked of"):
        explore(tiny_model, ExploreConfig(rows="1,2"), out=tmp_path / "other", settings=asked)


def test_integers_need_no_data(tmp_path: Path) -> None:
    study = explore(small_lenet(), ExploreConfig(rows="2,4", max_cycles=10**9), out=tmp_path / "study")
    assert study.objectives == ("cycles", "multipliers", "onchip_bits")
    assert all("accuracy" not in point.values for point in study.points) and len(study.front()) == 2


def test_limits_cut_the_front_and_can_change(tmp_path: Path) -> None:
    space = ExploreConfig(rows="1..4", objectives=("cycles",))
    free = explore(small_lenet(), space, out=tmp_path / "study")
    assert [point.options["array.rows"] for point in free.front()] == [4]
    small = explore(small_lenet(), replace(space, max_onchip_bits=1), out=tmp_path / "study")
    assert small.points == free.points and not small.front()
    nearest = min(small.points, key=lambda point: point.values["onchip_bits"])
    bits = f"bits on the chip {nearest.values['onchip_bits']:,.10g}, at most 1 is wanted"
    assert small.about["advice"] == f"no point keeps every limit; number {nearest.number} comes nearest: {bits}"
    assert "advice" not in free.about
    assert all(goal.metric == "onchip_bits" for point in small.points for goal in small.broken(point))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": "1..4"}, r"differs in space .*now \[\"array\.rows\""),
        ({"clock": 10.0}, r"in options .*explore\.clock=10\.0"),
    ],
)
def test_a_folder_of_another_study(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    space = ExploreConfig(rows="1..3")
    explore(small_lenet(), space, out=tmp_path / "study")
    with pytest.raises(InputError, match=words):
        explore(small_lenet(), replace(space, **change), out=tmp_path / "study")


def test_a_folder_of_another_network_or_code(tmp_path: Path) -> None:
    space = ExploreConfig(rows="1..2")
    explore(small_lenet(), space, out=tmp_path / "study")
    with pytest.raises(InputError, match="differs in network"):
        explore(replace(small_lenet(), name="other"), space, out=tmp_path / "study")
    head = tmp_path / "study" / "study.json"
    plain = json.loads(head.read_text())
    plain["identity"]["code"] = "0" * 64
    head.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"differs in version of hwprm \(000000000000, now"):
        explore(small_lenet(), space, out=tmp_path / "study")


def test_a_kill_at_the_very_start_is_no_other_study(tmp_path: Path) -> None:
    space = ExploreConfig(rows="1..2")
    whole = explore(small_lenet(), space, out=tmp_path / "study")
    (tmp_path / "study" / POINTS).unlink()
    (tmp_path / "study" / "options.toml").unlink()
    again = explore(small_lenet(), space, out=tmp_path / "study")
    assert again.points == whole.points and (tmp_path / "study" / "options.toml").is_file()


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty"):
        explore(small_lenet(), ExploreConfig(rows="1"), out=tmp_path / "study")
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("space", "error", "words"),
    [
        (ExploreConfig(weight_bits="8,4"), ConfigError, r"quantize\.weight_bits is a dimension, but .* integers"),
        (ExploreConfig(rows="2", target="ecp5-85"), ConfigError, "did you mean 'ecp5-85k'"),
        (ExploreConfig(rows="2", target="generic"), UnsupportedError, "leave --target out"),
        (ExploreConfig(), ConfigError, "the space is empty"),
    ],
)
def test_what_cannot_be_explored(tmp_path: Path, space: ExploreConfig, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        explore(small_lenet(), space, out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_search_needs_a_dense_model_and_images_held_out(tiny_model: Path, settings: Settings, tmp_path: Path) -> None:
    space = ExploreConfig(compression="2..8")
    settings = replace(settings, run=RunConfig(method="shrink"))
    bare = replace(settings, data=replace(settings.data, validation=0))
    with pytest.raises(DataError, match="hold some out with --validation N"):
        explore(tiny_model, space, out=tmp_path / "study", settings=bare)
    pruned = api.prune(tiny_model, settings.data, PruneOptions(admm=AdmmConfig(compression=4.0, epochs=1)))
    with pytest.raises(ConfigError, match=r"shrink\.compression need a dense model, and this one is compact"):
        explore(pruned, space, out=tmp_path / "study", settings=settings)
    assert not (tmp_path / "study").exists()


def test_nothing_fits(tmp_path: Path) -> None:
    study = explore(small_lenet(), ExploreConfig(rows="24", cols="24", target="ecp5-12k"), out=tmp_path / "study")
    assert not study.front() and "does not fit ecp5-12k" in study.points[0].refused
    assert "fits no device of its family; take smaller arrays" in study.about["advice"]
    space = ExploreConfig(rows="6,8", cols="8", target="ecp5-12k")
    larger = explore(small_lenet(), space, out=tmp_path / "larger")
    assert larger.about["advice"] == "no point fits ecp5-12k; the smallest of them, 6 x 8, fits ecp5-45k"
    assert Study.load(larger.folder).about == larger.about
    both = explore(small_lenet(), replace(space, rows="1,8"), out=tmp_path / "both")
    assert "advice" not in both.about and both.front()


def test_nothing_can_be_run(tmp_path: Path) -> None:
    small = explore_defaults()
    small = replace(small, array=replace(small.array, onchip_bits=100))
    study = explore(small_lenet(), ExploreConfig(rows="2,4"), out=tmp_path / "study", settings=small)
    assert not study.front() and study.about["advice"].startswith("every point was refused; number 0: ")
    assert "array.onchip_bits is 100" in study.about["advice"]
