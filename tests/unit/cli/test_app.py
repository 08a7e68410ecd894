"""The entry point: what happens to the JUnit file of a command line that leads nowhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hwprm.cli import app
from hwprm.core.errors import InputError

GREEN = "<testsuites tests='9' failures='0' errors='0'/>"


def _main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["hwprm", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an earlier, green run left, as a path that begins at the folder worked in."""
    monkeypatch.chdir(tmp_path)
    Path("j.xml").write_text(GREEN)
    return Path("j.xml")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("verify bundle --junit j.xml --nope", 2),
        ("verify --junit=j.xml", 2),
        ("verify bundle extra --junit j.xml", 2),
        ("verify bundle --sim --junit=x --junit old.xml --junit j.xml --images", 2),
        ("verify bundle --junit j.xml --images", 2),
        ("verfy bundle --junit j.xml", 2),
        ("--nope verify bundle --junit j.xml", 2),
        ("verify bundle --junit j.xml --help", 0),
        ("--version verify bundle --junit j.xml", 0),
    ],
)
def test_a_command_line_that_leads_nowhere_leaves_no_green_file(
    stale: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int
) -> None:
    assert _main(monkeypatch, *words.split()) == code
    root = ET.parse(stale).getroot()
    (error,) = root.iter("error")
    assert (root.get("errors"), error.get("type")) == ("1", "InputError")
    assert str(error.get("message")).startswith("the verification did not begin: its command line is wrong or asks")
    assert [path.name for path in Path().iterdir()] == ["j.xml"]


def test_stopped_while_verbs_are_imported(stale: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(names: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "register", stop)
    monkeypatch.setattr("sys.argv", ["hwprm", "verify", "bundle", "--junit", "j.xml"])
    with pytest.raises(KeyboardInterrupt):
        app.main()
    assert ET.parse(stale).getroot().get("errors") == "1"


@pytest.mark.parametrize("words", ["verify -- --junit j.xml", "verify bundle --nope --junit", "verify --nope j.xml"])
def test_only_what_is_an_option_names_the_file(stale: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    assert _main(monkeypatch, *words.split()) == 2
    assert stale.read_text() == GREEN


def test_another_verb_takes_no_such_file(stale: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _main(monkeypatch, *["report", "run", "--junit", "j.xml"]) == 2
    assert stale.read_text() == GREEN


def test_what_is_no_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "verify", "bundle", "--junit", str(tmp_path)) == InputError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: cannot write {tmp_path}: it is a folder")


@pytest.mark.parametrize("options", ["--images x", "--seed -1"])
def test_a_file_of_options_names_it_too(stale: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    Path("o.toml").write_text('[run]\njunit = "j.xml"\n')
    assert _main(monkeypatch, "verify", "bundle", "-c", "o.toml", *options.split()) == 2
    assert "verify." in str(next(ET.parse(stale).getroot().iter("error")).get("message"))
