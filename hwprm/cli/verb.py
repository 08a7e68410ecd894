"""The decorator that turns a function into a verb: options from the config dataclasses, TOML, errors, JSON."""

from __future__ import annotations

import errno
import inspect
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, get_args, get_origin
from zipfile import is_zipfile

import typer
from rich.markup import escape

from hwprm.cli.talk import Outcome, Talk
from hwprm.config import SECTIONS, Settings, load_settings
from hwprm.config.options import Option, options_of, show
from hwprm.config.settings import read_toml
from hwprm.config.words import choices, is_union, limits
from hwprm.core.errors import HwprmError, InputError
from hwprm.core.extras import lacking

__all__ = ["CRASHED", "INTEGERS", "INTERRUPTED", "TERMINATED", "Chosen", "Take", "flags", "verb"]

#: Longest text for a value in help that leaves room for what an option means.
SHORT = 10
#: Exit codes after Ctrl-C and after SIGTERM, as shells have them.
INTERRUPTED, TERMINATED = 130, 143
#: Exit code of a fault in hwprm itself (EX_SOFTWARE of sysexits.h).
CRASHED = 70


@dataclass(frozen=True)
class Take:
    """A section that a verb takes. `prefix` puts ``section-`` before its options; `only` names the fields taken.

    Options of the fields `first` stand in the first group of the verb's help: most users need no others.
    """

    section: str
    prefix: bool = False
    only: tuple[str, ...] | None = None
    first: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """The options taken, in the order of the fields."""
        found = options_of(self.section, SECTIONS[self.section])
        return tuple(option for option in found if self.only is None or option.name in self.only)

    def flag(self, option: Option) -> str:
        """``--field`` or ``--section-field``; a field called ``name`` is the section's own flag (``--data``)."""
        if option.name == "name":
            return f"--{option.section}"
        words = f"{option.section}_{option.name}" if self.prefix else option.name
        return "--" + words.replace("_", "-")


#: Quantisation inside a larger verb: the widths under their own names, the rest with a prefix.
INTEGERS = (
    Take("quantize", only=("weight_bits", "act_bits")),
    Take("quantize", prefix=True, only=("images", "percentile")),
)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What the user gave, as against defaults. Places are (section, field)."""

    #: Values as given, those of the command line over those of the file.
    values: Mapping[tuple[str, str], Any]
    #: Those of the command line alone: place -> flag.
    flags: Mapping[tuple[str, str], str]


#: A verb's function: `Talk` and `Settings`, then its positional arguments.
Body = Callable[..., Outcome]
#: A verb's defaults: values by place, where they are others than those of the sections, or what makes the settings from
#: its positional arguments.
Base = Mapping[tuple[str, str], Any] | Callable[[Mapping[str, Any]], Settings]


def verb(
    app: typer.Typer, *takes: Take, out: bool = True, base: Base | None = None, together: bool = False
) -> Callable[[Body], Body]:
    """Register the decorated function with `app` under its own name.

    Its two first parameters are a `Talk` and the `Settings`; one called `chosen` is a `Chosen`, the rest are positional
    arguments of the command line.
    `base` says the defaults, where the dataclasses' own do not serve. Of the verbs, only those that train `together`
    may be started by torchrun.
    """
    common = ("out", "json", "quiet") if out else ("json", "quiet")
    taken = (*takes, Take("run", only=common))

    def register(body: Body) -> Body:
        targets = {_parameter(take, o): (o.section, o.name) for take in taken for o in take.options}
        written = {(o.section, o.name): take.flag(o) for take in taken for o in take.options}
        asks = "chosen" in inspect.signature(body).parameters

        def command(**given: Any) -> None:
            file = given.pop("config")
            chosen = {place: given.pop(key) for key, place in targets.items()}
            overrides = {place: value for place, value in chosen.items() if value is not None}

            def settle() -> Settings:
                if not together and "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1":
                    raise InputError(
                        f"hwprm {command.__name__} does not share its work among processes, all would do the same and "
                        "write into one folder; start it without torchrun"
                    )
                own = base(given) if callable(base) else load_settings(None, base)
                settings = load_settings(file, overrides, own)
                if asks:
                    values = (read_toml(file) if file else {}) | overrides
                    given["chosen"] = Chosen(values=values, flags={place: written[place] for place in overrides})
                return settings

            raise typer.Exit(_guarded(body, settle, overrides, given, file))

        _dress(command, body, taken, base)
        app.command(body.__name__.rstrip("_"))(command)
        return body

    return register


def _guarded(
    body: Body,
    settle: Callable[[], Settings],
    overrides: dict[tuple[str, str], Any],
    arguments: dict[str, Any],
    file: Path | None,
) -> int:
    """Run `body` with the settings that `settle` makes and turn whatever happens into an exit code."""
    first = os.environ.get("RANK", "0") == "0"  # of processes that torchrun started, one talks
    talk = Talk(
        quiet=bool(overrides.get(("run", "quiet"))) or not first, json=first and bool(overrides.get(("run", "json")))
    )
    begun = False
    try:
        with _terminable():
            settings = settle()
            begun = True
            talk = Talk(quiet=settings.run.quiet or not first, json=settings.run.json and first)
            _warn(talk, [*arguments.values(), settings.run.teacher])
            outcome = body(talk, settings, **arguments)
            talk.finish(outcome)
        return outcome.exit_code
    except HwprmError as error:
        talk.fail(error)
        if not begun:
            _note_refusal(overrides, file, error)
        return error.exit_code
    except KeyboardInterrupt as stop:
        where = f", {str(stop).partition(';')[0]}" if str(stop) else ""
        again = shlex.join([*_launcher(), *sys.argv[1:]])
        talk.progress.print(escape(f"interrupted{where}; continue with: {again}"), soft_wrap=True)
        return TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if (room := _system_refused(error)) is not None:
            talk.fail(room)
            return room.exit_code
        # A fault of ours: the traceback is what a report needs.
        traceback.print_exc()
        talk.progress.print("this is a fault in hwprm itself; please report it with the text above", soft_wrap=True)
        return CRASHED


def _warn(talk: Talk, given: Iterable[Any]) -> None:
    """Say it where one of the files `given` may do more than be read; docs/trust.md."""
    for file in given:
        # What is no archive holds no objects.
        if isinstance(file, str | Path) and Path(file).suffix == ".pt2" and is_zipfile(file):
            talk.say(f"warning: reading {file} may run code that is in it (pickled objects); open only what you trust")


def _note_refusal(overrides: Mapping[tuple[str, str], Any], file: Path | None, error: HwprmError) -> None:
    """Let the JUnit file that the command line, or the `file` of options, names say what is wrong with the others."""
    place = overrides.get(("run", "junit"))
    if place is None and file is not None:
        with suppress(InputError):
            place = read_toml(file).get(("run", "junit"))
    if isinstance(place, str) and place:
        from hwprm.verification.results.junit import write_error

        with suppress(InputError):  # that may be what failed
            write_error("hwprm", error, Path(place))


def _launcher() -> list[str]:
    """What this program was started with, before its own arguments."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ["hwprm"]
    return ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m", "hwprm"]


class _Terminated(KeyboardInterrupt):
    """SIGTERM came. As with Ctrl-C, what is under way is cleaned up: simulators are ended, temporary folders go."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM raises `_Terminated`. Only the main thread may handle signals; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _system_refused(error: Exception) -> HwprmError | None:
    """What the system lacks, or has against writing or reading, as an error of the user's; None when it is not that."""
    if (lacked := lacking(error)) is not None:
        return lacked
    if isinstance(error, MemoryError):
        return InputError(f"memory does not suffice ({error}); ask for less at once, or use a machine with more")
    number = error.errno if isinstance(error, OSError) else None
    if number is None and "(os error " in str(error):  # safetensors hides the system's error in its text
        number = int(str(error).rpartition("(os error ")[2].partition(")")[0])
    if number not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        return None
    where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
    return InputError(f"the system refused{where}: {os.strerror(number)}; make room or choose another place")


def _dress(command: Callable[..., None], body: Body, taken: tuple[Take, ...], base: Base | None) -> None:
    """Give `command` the signature that typer reads: `body`'s arguments, then one option per config field."""
    parameters = list(inspect.signature(body, eval_str=True).parameters.values())[2:]
    arguments = [parameter for parameter in parameters if parameter.name != "chosen"]
    # Defaults that hang on arguments cannot be shown beforehand.
    shown = base if isinstance(base, Mapping) else {}
    parameters = [argument.replace(kind=inspect.Parameter.KEYWORD_ONLY) for argument in arguments]
    config = typer.Option("--config", "-c", help="TOML file of options; the command line overrides it.")
    parameters.append(_keyword("config", Annotated[Path | None, config]))
    for take in taken:
        for option in take.options:
            default = shown.get((option.section, option.name), option.default)
            parameters.append(_keyword(_parameter(take, option), _annotation(take, option, default)))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may carry one
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = _with_examples(body.__doc__ or "")
    command.takes = taken  # type: ignore[attr-defined]  # for `flags`
    command.__name__ = body.__name__


def _with_examples(text: str) -> str:
    """A docstring whose examples, the last paragraph, keep their lines."""
    text, _, examples = inspect.cleandoc(text).partition("\nExamples:\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    return "\n".join((text.rstrip(), "", "\b", "Examples:", *(f"  {line}" for line in lines))) if lines else text


def _annotation(take: Take, option: Option, default: Any) -> Any:
    flag = take.flag(option)
    known = [name for part in (option.kind, *get_args(option.kind)) for name in choices(part)]
    metavar, may = _metavar(option.kind, known), limits(option.declared)
    shown = "" if not may or may == metavar.replace("|", ", ") else f"{may}; "
    text = f"{option.text} \\[{escape(shown)}default: {escape(show(default))}]"
    names = [flag, "-o"] if option.key == "run.out" else [flag]
    panel = "Options" if option.section == "run" or option.name in take.first else f"Options: {option.section}"
    if option.kind is bool:
        switch = f"{flag}/--no-{flag[2:]}"
        return Annotated[bool | None, typer.Option(switch, help=text, rich_help_panel=panel, show_default=False)]
    # Text here, whatever the type: `convert` reads it as it reads TOML, with the same words when it cannot.
    info = typer.Option(
        *names,
        help=text,
        metavar=metavar,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=lambda incomplete: [name for name in known if name.startswith(incomplete)],
    )
    return Annotated[str | None, info]


def _metavar(kind: Any, known: list[str]) -> str:
    """What a value looks like: its choices where they are few."""
    if get_origin(kind) is tuple:
        return "A,B,.."
    if known:
        return "|".join(known) if len("|".join(known)) <= SHORT else "N" if known[0].isdecimal() else "WORD"
    if get_origin(kind) is not None and get_args(kind) and not is_union(kind):
        return "NAME=A,.."
    first = next((arg for arg in get_args(kind) if arg is not type(None)), kind)
    return {int: "N", float: "X", Path: "PATH"}.get(first, "TEXT")


def _parameter(take: Take, option: Option) -> str:
    return take.flag(option)[2:].replace("-", "_")


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def flags(app: typer.Typer) -> dict[str, dict[str, str]]:
    """``{section.key: {verb: flag}}`` of every option that some verb of `app` takes, in the order of registration."""
    found: dict[str, dict[str, str]] = {}
    for info in app.registered_commands:
        takes: tuple[Take, ...] = getattr(info.callback, "takes", ())
        name = getattr(info.callback, "__name__", "")
        for take in takes:
            for option in take.options:
                found.setdefault(option.key, {})[name] = take.flag(option)
    return found
