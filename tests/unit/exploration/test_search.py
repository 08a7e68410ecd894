"""Joint searches: the same course however they are run, every epoch used, what was promised built."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwprm.config import DataConfig, ExploreConfig, FinetuneConfig, Settings, ShrinkConfig, TrainConfig
from hwprm.config.run import RunConfig
from hwprm.core.errors import DataError, InputError, ToolError
from hwprm.exploration import Study, build_point, explore
from hwprm.exploration.points import POINTS
from hwprm.exploration.software import prune_task, tune_task

SPACE = ExploreConfig(
    compression="1.5..4", rows="1..4", weight_bits="8,5", points=6, proposals=3, rank_epochs=1, seed=3
)


@pytest.fixture(scope="module")
def base(tiny_data: Path) -> Settings:
    """Options that shrink the tiny network in a few short epochs."""
    return Settings(
        data=DataConfig(name=str(tiny_data), validation=30),
        run=RunConfig(method="shrink"),
        train=TrainConfig(batch=16),
        shrink=ShrinkConfig(rate=1.6, every=2),
        finetune=FinetuneConfig(epochs=2, batch=16),
    )


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, as if it were trained on the tiny images."""
    from hwprm.model import History, Model, Stage
    from tests.conftest import tiny_graph

    folder = tmp_path_factory.mktemp("dense") / "model"
    Model(graph=tiny_graph(), stage=Stage.DENSE, meta=History(data="tiny")).save(folder)
    return folder


@pytest.fixture(scope="module")
def found(dense: Path, base: Settings, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A search run in one go."""
    return explore(dense, SPACE, out=tmp_path_factory.mktemp("search") / "study", settings=base)


def test_a_search_ranks_then_finishes_its_front(found: Study) -> None:
    assert [point.number for point in found.points] == list(range(6)) and found.size is None
    assert found.objectives == ("accuracy", "cycles", "multipliers", "onchip_bits")
    assert found.front() and all(point.final and point.test_accuracy is not None for point in found.front())
    for point in found.points:
        assert point.final == (point.ranked is not None)
        assert 1.5 <= point.options["shrink.compression"] <= 4
        assert set(found.objectives) <= set(point.values)


def test_it_repeats_itself(found: Study, dense: Path, base: Settings, tmp_path: Path) -> None:
    again = explore(dense, SPACE, out=tmp_path / "study", settings=base)
    assert again.points == found.points


def test_it_goes_on_wherever_it_was_killed(
    found: Study, dense: Path, base: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(found.folder, copy)
    lines = (copy / POINTS).read_bytes().splitlines(keepends=True)
    (copy / POINTS).write_bytes(b"".join(lines[:4]) + lines[4][:7])  # one point into the second round
    ran = []

    def count(name: str, function: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            ran.append(name)
            return function(*arguments)

        return counted

    monkeypatch.setattr("hwprm.exploration.artefacts.prune_task", count("prune", prune_task))
    monkeypatch.setattr("hwprm.exploration.artefacts.tune_task", count("tune", tune_task))
    monkeypatch.setattr("hwprm.exploration.artefacts.code_digest", lambda function: _digest(function))
    again = explore(dense, SPACE, out=copy, settings=base)
    assert again.points == found.points and again.csv() == found.csv()
    assert not ran  # every network was kept


def _digest(function: Any) -> str:
    """That of the function which a counter stands for."""
    from hwprm.pipeline.code import code_digest

    inner = {"prune": prune_task, "tune": tune_task}
    return code_digest(
        next(
            (
                f
                for name, f in inner.items()
                if function.__name__ == "counted" and name in function.__closure__[1].cell_contents
            ),
            function,
        )
    )


def test_shrinking_goes_on_from_epochs_of_other_points(dense: Path, base: Settings, tmp_path: Path) -> None:
    """From little to much, in one task: what a point shares with one before it is not trained again."""
    from hwprm.exploration.software import Origin
    from hwprm.sources import as_model, as_split

    split = as_split(base.data)
    origin = Origin(fingerprint=split.dataset.fingerprint, split=split)
    points = [replace(base, shrink=replace(base.shrink, compression=c)) for c in (2.0, 3.5)]
    model = as_model(dense, split.dataset.image_shape)
    (tmp_path / "work").mkdir()
    both = prune_task(model, origin, points, tmp_path / "work" / "both")
    rounds = len(list((tmp_path / "work" / "both").glob("shrink-*.json")))
    (alone,) = prune_task(model, origin, points[1:], tmp_path / "work" / "alone")
    assert rounds == len(list((tmp_path / "work" / "alone").glob("shrink-*.json"))) > 1
    assert not isinstance(alone, str) and not isinstance(both[1], str)
    assert both[1].graph.weights_digest == alone.graph.weights_digest


def test_what_breaks_a_limit_is_not_fine_tuned(
    dense: Path, base: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = []
    monkeypatch.setattr(
        "hwprm.exploration.artefacts.Artefacts.tune", lambda self, points, done: tuned.extend(points) or {}
    )
    study = explore(dense, replace(SPACE, points=3, max_cycles=1), out=tmp_path / "study", settings=base)
    assert not tuned and not study.front()
    assert all("accuracy" not in point.values and point.values["cycles"] > 1 for point in study.points)


def test_options_that_do_not_go_together_are_refused_points(dense: Path, base: Settings, tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        '[array]\nweights = ["axi"]\naxi_data_bits = [512]\naxi_burst = [64, 128]\n[shrink]\ncompression = 2\n'
    )
    study = explore(
        dense, ExploreConfig(space=file, points=4, proposals=4, rank_epochs=0), out=tmp_path / "study", settings=base
    )
    refused = {point.options["array.axi_burst"]: point.refused for point in study.points}
    assert "array.axi_burst must be 64 or less beats of array.axi_data_bits (512)" in refused[128]
    assert refused.get(64, "") == ""


def test_more_points_go_on_with_the_same_course(dense: Path, base: Settings, tmp_path: Path) -> None:
    few = explore(dense, replace(SPACE, points=3, rank_epochs=0), out=tmp_path / "study", settings=base)
    more = explore(dense, replace(SPACE, points=6, rank_epochs=0), out=tmp_path / "study", settings=base)
    assert [point.options for point in more.points[:3]] == [point.options for point in few.points]
    once = explore(dense, replace(SPACE, points=6, rank_epochs=0), out=tmp_path / "once", settings=base)
    assert [point.options for point in more.points] == [point.options for point in once.points]


def test_how_a_command_talks_is_no_part_of_a_search(found: Study, dense: Path, base: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(found.folder, copy)
    other = replace(base, run=replace(base.run, out=tmp_path / "moved", json=True, quiet=True))
    assert explore(dense, SPACE, out=copy, settings=other).points == found.points


def test_limits_are_part_of_a_search(found: Study, dense: Path, base: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(found.folder, copy)
    with pytest.raises(InputError, match=r"in options .*explore\.max_cycles=5"):
        explore(dense, replace(SPACE, max_cycles=5), out=copy, settings=base)


def test_no_file_says_where_things_lie(found: Study, dense: Path, base: Settings) -> None:
    for name in ("study.json", "explored.json", "points.jsonl", "points.csv", "study.html", "options.toml"):
        text = (found.folder / name).read_text()
        assert str(found.folder) not in text and str(dense) not in text and str(base.data.name) not in text, name


def test_trouble_of_a_machine_refuses_no_point(
    dense: Path, base: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_data(self: object) -> None:
        raise DataError("a worker cannot read the data set")

    with monkeypatch.context() as patch:
        patch.setattr("hwprm.exploration.software.Origin.open", no_data)
        with pytest.raises(DataError, match="a worker cannot read the data set"):
            explore(dense, replace(SPACE, points=3), out=tmp_path / "study", settings=base)
    study = explore(dense, replace(SPACE, points=3), out=tmp_path / "study", settings=base)
    assert len(study.points) == 3 and not any(point.refused for point in study.points)


def test_accuracy_is_asked_of_finished_points(dense: Path, base: Settings, tmp_path: Path) -> None:
    low = explore(dense, replace(SPACE, points=3, min_accuracy=0.001), out=tmp_path / "low", settings=base)
    assert all(point.final for point in low.front())
    high = explore(dense, replace(SPACE, points=3, min_accuracy=100.0), out=tmp_path / "high", settings=base)
    assert any(point.final for point in high.points)  # what nobody knows before they are
    assert all(point.values["accuracy"] == 100 for point in high.front())


def test_another_course_is_told(found: Study, dense: Path, base: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(found.folder, copy)
    file = copy / POINTS
    file.write_text(file.read_text().replace('"shrink.compression": ', '"shrink.compression": 1'))
    with pytest.raises(InputError, match=r"point 0 is .* but this search proposes"):
        explore(dense, SPACE, out=copy, settings=base)


def test_without_optuna(dense: Path, base: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ToolError, match=r"a search needs Optuna .*pip install 'hwprm\[explore\]'"):
        explore(dense, SPACE, out=tmp_path / "study", settings=base)


@pytest.mark.sim
@pytest.mark.slow
def test_a_point_of_the_front_is_built_as_promised(found: Study, tiny_data: Path, tmp_path: Path) -> None:
    point = found.front()[0]
    with pytest.raises(InputError, match=r"give the same data \(--data\)"):
        build_point(found.folder, point.number, out=tmp_path / "other")  # a study keeps no place on this machine
    assert not (tmp_path / "other").exists()
    built = build_point(found.folder, point.number, out=tmp_path / "best", data=tiny_data)
    assert built.found == {name: point.values[name] for name in ("accuracy", "cycles", "multipliers", "onchip_bits")}
    assert not built.differences and built.verified["mismatches"] == 0 and built.verified["values_compared"] > 0
    assert {path.name for path in (tmp_path / "best").iterdir()} == {"model", "network", "bundle"}


@pytest.mark.sim
@pytest.mark.slow
def test_a_point_is_made_again_where_its_networks_are_gone(found: Study, tiny_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(found.folder, copy)
    shutil.rmtree(copy / "artefacts")
    shutil.rmtree(copy / "work")
    point = found.front()[-1]
    assert not build_point(copy, point.number, out=tmp_path / "best", data=tiny_data).differences


def test_a_promise_that_is_not_kept_is_told(found: Study, tmp_path: Path) -> None:
    from hwprm.core.errors import MismatchError
    from hwprm.exploration import Built

    built = Built(
        point=found.points[0],
        folder=tmp_path,
        promised={"cycles": 100, "accuracy": 99.0, "lut4": 10},
        found={"cycles": 101, "accuracy": 99.0, "lut4": 12},
        verified={},
        silicon=None,
    )
    assert built.differences == ("cycles",)
    assert isinstance(built.error, MismatchError) and "cycles 101 instead of 100" in str(built.error)
    assert replace(built, found={"cycles": 100}).error is None


def test_points_that_cannot_be_built(found: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no point 77; it has 6 points"):
        build_point(found.folder, 77, out=tmp_path / "best")
    with pytest.raises(InputError, match="--through synth needs the device"):
        build_point(found.folder, 0, out=tmp_path / "best", through="synth")
    with pytest.raises(InputError, match="holds no study"):
        build_point(tmp_path, 0, out=tmp_path / "best")
    assert not (tmp_path / "best").exists()
