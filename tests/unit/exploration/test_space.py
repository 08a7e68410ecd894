"""Spaces: what ranges mean, which points they span, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwprm.config import AdmmConfig, ExploreConfig, Settings, ShrinkConfig
from hwprm.config.run import RunConfig
from hwprm.core.errors import ConfigError
from hwprm.exploration.space import check_effect, make_space, typed, with_options


def values(**flags: str) -> tuple[object, ...]:
    """Values of the one dimension that the flags make."""
    (dimension,) = make_space(ExploreConfig(**flags)).dimensions  # type: ignore[arg-type]
    return dimension.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8", (8,)),
        ("8,6,4", (8, 6, 4)),
        ("2..5", (2, 3, 4, 5)),
        ("2 .. 9+3", (2, 5, 8)),
        ("2..32*2", (2, 4, 8, 16, 32)),
        ("2..20*1.5", (2, 3, 4, 7, 10, 15)),  # 2, 3, 4.5, 6.75, 10.1, 15.2, each rounded
    ],
)
def test_ranges(text: str, expected: tuple[int, ...]) -> None:
    assert values(rows=text) == expected


def test_fractions_step_or_stay_an_interval() -> None:
    assert values(compression="10..40*2") == (10.0, 20.0, 40.0)
    assert values(compression="1..2+0.5") == (1.0, 1.5, 2.0)
    (dimension,) = make_space(ExploreConfig(compression="10..200")).dimensions
    assert dimension.interval == (10.0, 200.0) and not dimension.values


def test_points_are_the_product_in_the_order_of_the_flow() -> None:
    space = make_space(ExploreConfig(cols="1,2", rows="3..4", weight_bits="8,4"))
    assert [d.key for d in space.dimensions] == ["quantize.weight_bits", "array.rows", "array.cols"]
    points = list(space.points())
    assert space.size == len(points) == 8
    assert points[0] == {"quantize.weight_bits": 8, "array.rows": 3, "array.cols": 1}
    assert points[1] == {"quantize.weight_bits": 8, "array.rows": 3, "array.cols": 2}
    assert points[-1] == {"quantize.weight_bits": 4, "array.rows": 4, "array.cols": 2}
    assert space.hardware_only


def test_a_file_makes_any_option_a_dimension(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        '[array]\nrows = "2..4"\npipeline = ["short", "fast"]\n[finetune]\nlr = [1e-3, 3e-3]\n'
        '[shrink]\nalso = [{ cycles = 3.0 }, "none"]\n[run]\nmethod = ["admm", "shrink"]\n'
    )
    space = make_space(ExploreConfig(space=file, cols="8"))
    assert [d.key for d in space.dimensions] == [
        *("run.method", "shrink.also", "finetune.lr", "array.rows", "array.cols", "array.pipeline")
    ]
    assert not space.hardware_only and space.size == 2 * 2 * 2 * 3 * 1 * 2
    first = next(iter(space.points()))
    assert first["shrink.also"] == {"cycles": 3.0} and first["array.pipeline"] == "short"
    settings = with_options(Settings(), first)
    assert settings.run.method == "admm" and settings.array.cols == 8 and settings.finetune.lr == 1e-3


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('[array]\nrows = "2..4"\n')
    (dimension,) = make_space(ExploreConfig(space=file, rows="7")).dimensions
    assert dimension.values == (7,)


def test_options_come_back_from_json_as_they_were() -> None:
    options = {"array.rows": 4, "array.pipeline": "fast", "shrink.also": "cycles=3,macs=2", "shrink.late_rate": "none"}
    assert typed(options) == {
        "array.rows": 4,
        "array.pipeline": "fast",
        "shrink.also": {"cycles": 3.0, "macs": 2.0},
        "shrink.late_rate": None,
    }
    with pytest.raises(ConfigError, match=r"no option is called array\.row; did you mean 'array\.rows'"):
        typed({"array.row": 4})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "the space is empty"),
        ({"rows": ""}, r"array\.rows has no values|must be a whole number"),
        ({"rows": "0..4"}, r"array\.rows must be a whole number in 1\.\.256, not 0"),
        ({"rows": "250..300"}, r"array\.rows must be a whole number in 1\.\.256, not 300"),
        ({"weight_bits": "8,99,6"}, r"quantize\.weight_bits must be .*99"),
        ({"rows": "4..2"}, "the first number must be the smaller"),
        ({"rows": "2..8+0"}, "never ends"),
        ({"rows": "2..8*1"}, "never ends"),
        ({"rows": "2,2"}, "names 2 twice"),
        ({"rows": "a,b"}, r"array\.rows must be a whole number"),
        ({"count": "1..3"}, "is no number"),
        ({"count": "cycle"}, r"shrink\.count must be one of"),
        ({"compression": "0.5..4"}, r"shrink\.compression must be a number in 1\.\."),
    ],
)
def test_what_makes_no_sense_is_refused(flags: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_space(ExploreConfig(**flags))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[aray]\nrows = 4", r"unknown section \[aray\]; did you mean 'array'"),
        ("[array]\nrow = 4", r"no option is called array\.row; did you mean 'array\.rows'"),
        ("[emit]\nimages = [1, 2]", r"emit\.images changes nothing that is measured"),
        ("array = 4", r"write \[array\]"),
        ("[array\n", "is no TOML file"),
        ("[array]\nrows = []", r"array\.rows has no values"),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        make_space(ExploreConfig(space=file))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="cannot read the space in nowhere.toml"):
        make_space(ExploreConfig(space=Path("nowhere.toml")))


def test_an_interval_has_no_end_of_points() -> None:
    space = make_space(ExploreConfig(compression="10..200", rows="2..4"))
    assert space.size is None
    with pytest.raises(ConfigError, match=r"shrink\.compression has no end of values .* as in 10\.\.200\*1\.5"):
        list(space.points())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[memory]\nlatency = [10, 20]", r"memory\.latency has no effect: all weights are on the chip"),
        ("[array]\naxi_burst = [8, 16]", r"array\.axi_burst has no effect"),
        ("[train]\nlr = [1e-3, 2e-3]", r"train\.lr has no effect: pruning and fine-tuning have their own"),
        ("[shrink]\nrate = [1.2, 1.4]", r"shrink\.rate has no effect: the method is admm"),
        ("[array]\nrows = [2, 4]", ""),
        ('[array]\nweights = ["rom", "axi"]\naxi_burst = [8, 16]', ""),
        ('[run]\nmethod = ["shrink", "admm"]\n[shrink]\nrate = [1.2, 1.4]', ""),
    ],
)
def test_dimensions_without_effect(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "space.toml"
    file.write_text(text)
    space = make_space(ExploreConfig(space=file))
    if not words:
        check_effect(space, Settings())
        return
    with pytest.raises(ConfigError, match=words):
        check_effect(space, Settings())


def test_a_limit_of_shrinking_leaves_its_compression_without_effect() -> None:
    left = replace(Settings(), run=RunConfig(method="shrink"), shrink=ShrinkConfig(left=100))
    with pytest.raises(ConfigError, match=r"shrink\.compression has no effect: shrink\.left says how far"):
        check_effect(make_space(ExploreConfig(compression="2..4")), left)


def test_limits_of_admm_leave_its_compression_without_effect(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text("[admm]\ncompression = [10, 20]\n")
    limited = replace(Settings(), admm=AdmmConfig(limits={"macs": 1000}))
    with pytest.raises(ConfigError, match=r"admm\.compression has no effect: admm\.limits say how far"):
        check_effect(make_space(ExploreConfig(space=file)), limited)
