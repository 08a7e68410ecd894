"""docs/options.md is what the dataclasses say, and every option can be given on some command line."""

from __future__ import annotations

import runpy
from pathlib import Path

from hwprm.cli.app import VERBS, app, register
from hwprm.cli.verb import flags
from hwprm.config import SECTIONS
from hwprm.config.options import options_of

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_options_md_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_options.py"))["text"]()
    assert (DOCS / "options.md").read_text() == made, "run: python docs/make_options.py"


def test_every_option_has_a_flag() -> None:
    register()
    taken = flags(app)
    keys = {option.key for section, kind in SECTIONS.items() for option in options_of(section, kind)}
    assert keys == set(taken)


def test_the_flags_of_the_contract() -> None:
    register()
    taken = flags(app)
    for key, verb, flag in (
        ("array.rows", "compile", "--rows"),
        ("array.cols", "estimate", "--cols"),
        ("quantize.weight_bits", "compile", "--weight-bits"),
        ("quantize.act_bits", "compile", "--act-bits"),
        ("data.name", "compile", "--data"),
        ("data.data_dir", "demo", "--data-dir"),
        ("verify.sim", "verify", "--sim"),
        ("verify.images", "verify", "--images"),
        ("verify.wave", "verify", "--wave"),
        ("verify.allow_edited", "verify", "--allow-edited"),
        ("run.junit", "verify", "--junit"),
        ("run.stop_after", "prune", "--stop-after"),
        ("run.out", "demo", "--out"),
    ):
        assert taken[key][verb] == flag


def test_every_verb_takes_json_and_quiet() -> None:
    register()
    taken = flags(app)
    assert set(taken["run.json"]) == set(taken["run.quiet"]) == set(VERBS)
