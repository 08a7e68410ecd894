"""The command line's root. Each verb is one file; heavy modules are imported inside the verbs."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

__all__ = ["VERBS", "app", "main", "register"]

#: The verbs, in the order of the help.
VERBS = (
    *("demo", "load", "train", "widths", "prune", "export", "quantize", "compile", "verify", "estimate", "synth"),
    *("pnr", "report", "repro", "check", "doctor"),
)

app = typer.Typer(
    name="hwprm",
    help="From a PyTorch network, pruned with structured ADMM and P-RM, to bit-exact systolic-array RTL.",
    no_args_is_help=True,
    add_completion=False,
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
    register()
    app()


def register() -> None:
    """Import every verb, in the order of the flow: that registers it."""
    for name in VERBS:
        import_module(f"hwprm.cli.{name}")
