"""Command line: one file per verb."""

from hwprm.cli.app import main

__all__ = ["main"]
