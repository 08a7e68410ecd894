"""`hwprm demo`."""

from __future__ import annotations

from pathlib import Path

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import INTEGERS, Take, verb
from hwprm.config import Settings
from hwprm.config.presets import DEMO

__all__ = ["demo"]


@verb(
    app,
    Take("data", first=("name", "data_dir")),
    Take("train", prefix=True),
    Take("admm", prefix=True, first=("compression",)),
    Take("purify", prefix=True),
    Take("finetune", prefix=True),
    *INTEGERS,
    Take("array", first=("rows", "cols")),
    Take("emit", prefix=True),
    Take("verify"),
    base=DEMO,
)
def demo(talk: Talk, settings: Settings) -> Outcome:
    """The main job: train a LeNet-5, prune it, quantise, compile, emit and verify it, and report.

    The run folder keeps every stage; the same command continues an interrupted run and reuses what is finished.

    Examples:
        hwprm demo
        hwprm demo --data-dir ~/mnist --rows 16 --cols 8 -o runs/wide
    """
    from hwprm.core.errors import MismatchError
    from hwprm.pipeline import run_demo
    from hwprm.reporting import overview

    out = settings.run.out or Path("runs/demo")
    facts = run_demo(out, settings, talk)
    talk.say(f"report: {out / 'report.json'}, bundle: {out / 'bundle'}, test results: {out / 'junit.xml'}")
    talk.say(f"page with pictures: {out / 'report.html'}")
    good = facts["verify"]["mismatches"] == 0
    return Outcome(
        data=facts,
        tables=overview(facts | {"seconds": talk.account(facts["seconds"])}),
        exit_code=0 if good else MismatchError.exit_code,
        where=out,
        then=onward("report", out),
    )
