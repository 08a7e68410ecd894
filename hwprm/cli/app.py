"""The command line's root. Each verb is one file; heavy modules are imported inside the verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.spelling import Spelled
from hwprm.core.errors import InputError

__all__ = ["VERBS", "app", "main", "register"]

#: The verbs, in the order of the help.
VERBS = (
    *("demo", "load", "train", "widths", "prune", "export", "quantize", "compile", "verify", "estimate", "synth"),
    *("pnr", "board", "run", "explore", "report", "repro", "check", "doctor"),
)

app = typer.Typer(
    name="hwprm",
    help="From a PyTorch network, pruned with structured ADMM and P-RM, to bit-exact systolic-array RTL.",
    no_args_is_help=True,
    cls=Spelled,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"hwprm {version('hwprm')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Compress a network and build its accelerator."""


def main() -> None:
    """Entry point of the `hwprm` command."""
    _redden(sys.argv[1:])
    named = sys.argv[1:2]
    register(named if named and named[0] in VERBS else VERBS)  # one verb is there sooner than all
    app()


def _redden(words: Sequence[str]) -> None:
    """Let the JUnit file that the command line `words` names say that nothing began, until something does.

    This comes before the words are understood: what an earlier run left must not outlive a mistyped option.
    """
    other = "verify" not in words and any(word in VERBS for word in words)  # has no such option: the file is not ours
    if not other and (file := _junit_of(words)) is not None:
        from hwprm.verification.results.junit import write_error

        error = InputError(
            "the verification did not begin: its command line is wrong or asks for help, or it was stopped at its start"
        )
        with suppress(InputError):  # what is no file holds no older results; the verb says what is wrong with it
            write_error("hwprm", error, file)


def _junit_of(words: Sequence[str]) -> Path | None:
    """What stands behind the last ``--junit``, as click would read it; only `verify` has that option."""
    found = None
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        if word == "--junit":
            found = next(rest, found)
        elif word.startswith("--junit="):
            found = word.partition("=")[2]
    return None if found is None else Path(found)


def register(names: Sequence[str] = VERBS) -> None:
    """Import the verbs `names`, in the order of the flow: that registers them."""
    for name in names:
        import_module(f"hwprm.cli.{name}")
