"""The verdict of a report, and its plain data."""

from __future__ import annotations

import dataclasses

import pytest

from hwprm.core.errors import MismatchError
from tests.unit.verification.results.reports import report


def test_verdict() -> None:
    assert report(None).ok
    report(None).raise_on_failure()
    nothing = report(None, values=0)
    assert not nothing.ok
    with pytest.raises(MismatchError, match="nothing was compared$"):
        nothing.raise_on_failure()
    bad = report(None, *[f"wrong {i}" for i in range(6)])
    assert not bad.ok
    with pytest.raises(MismatchError, match=r"icarus bulk, case 1: wrong 0\n.*\n.*\n.*\n\.\.\. and 2 more failures$"):
        bad.raise_on_failure()
    silent = dataclasses.replace(report(None), mismatches=1)
    assert not silent.ok


def test_plain_data() -> None:
    plain = report("x").as_dict()
    assert plain["ok"] is False
    assert plain["layer_cycles_simulated"] == {"a": 7}
    assert plain["cases"][0]["properties"] == {"cycles_predicted": "7"}
