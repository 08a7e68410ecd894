"""One TOML file for every option: precedence, round trip, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.config import Settings, load_settings
from hwprm.config.settings import sections_toml
from hwprm.core.errors import ConfigError


def _file(folder: Path, text: str) -> Path:
    path = folder / "options.toml"
    path.write_text(text)
    return path


def test_command_line_beats_file_beats_default(tmp_path: Path) -> None:
    file = _file(tmp_path, "[array]\nrows = 4\ncols = 5\n")
    settings = load_settings(file, {("array", "cols"): "6"})
    assert (settings.array.rows, settings.array.cols, settings.array.multiplier_stages) == (4, 6, 1)


def test_no_file_is_the_defaults() -> None:
    assert load_settings() == Settings()


def test_written_settings_read_back(tmp_path: Path) -> None:
    overrides = {("array", "rows"): 3, ("array", "acc_bits"): 24, ("run", "out"): 'a "b" \\c'}
    settings = load_settings(None, overrides | {("admm", "budgets"): "conv1=filters:6/columns:15,fc1=filters:60"})
    assert load_settings(_file(tmp_path, sections_toml(settings))) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[aray]\nrows = 1\n", r"unknown section \[aray\]; did you mean 'array'\?$"),
        ("[zzz]\n", r"unknown section \[zzz\]; known are admm, "),
        ("[array]\nrow = 1\n", r"unknown key array\.row; did you mean 'rows'\?$"),
        (
            "[array]\nq = 1\n",
            r"unknown key array\.q; known are acc_bits, axi_burst, .*, order_filters, phases, pipeline, rows, weights$",
        ),
        ("array = 3\n", r"array must be a section; write \[array\] and its keys below it$"),
        ("[array]\nrows = 0\n", r"^array\.rows must be a whole number in 1\.\.256, not 0$"),
        ("[array]\nrows = 'x'\n", r"^array\.rows must be a whole number in 1\.\.256, not 'x'$"),
        ("[array\n", r"options\.toml is no TOML file: "),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(_file(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^cannot read the options in .*: No such file or directory; check the path$"
    ):
        load_settings(tmp_path / "absent.toml")


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"is no TOML file"):
        load_settings(path)


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.toml")), ids=lambda path: path.stem
)
def test_examples_are_valid(file: Path) -> None:
    assert load_settings(file) != Settings()
