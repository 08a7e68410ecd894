"""Which code a step runs, and its digest: everything that the step's function imports, followed to the end.

Modules count whole, with what they import, inside functions too, and with the ``__init__`` of the folders they lie in;
a folder that looks up what lies in it counts with all of that.
Three places, `DOORS`, import nearly everything somewhere: of them the functions that are used count, not the rest.
Imports for types only never run, and so do not count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwprm.core.garbage import without_collection
from hwprm.core.resources import resource_dir

__all__ = ["Unit", "code_digest", "code_of"]

PACKAGE = "hwprm"
ROOT = Path(__file__).resolve().parent.parent
#: Modules, and folders of them, of which only what is used counts.
DOORS = ("hwprm.api", "hwprm.sources", "hwprm.pipeline")
#: What shows a result and is no part of it: the log, the curves and the page beside a model.
SHOWN = ("hwprm.reporting.record", "hwprm.reporting.curves", "hwprm.reporting.page", "hwprm.reporting.tables")
#: Kinds of files in the folders of resources that end up in a result.
SUFFIXES = (".py", ".j2", ".h")
#: Nodes that statements lie in, and those themselves.
_BODIES = (ast.stmt, ast.excepthandler, ast.match_case)


@dataclass(frozen=True, order=True)
class Unit:
    """A module, or with `name` what that stands for at the top of it, or with `folder` the resources of that kind."""

    module: str
    name: str = ""
    folder: bool = False


@cache
def code_digest(function: Callable[..., Any]) -> str:
    """SHA-256 of the code that `function` runs, see `code_of`."""
    digest = hashlib.sha256()
    for unit in code_of(function):
        digest.update(f"{unit.module}:{unit.name}\n".encode())
        digest.update(_text(unit))
    return digest.hexdigest()


@cache
def code_of(function: Callable[..., Any]) -> tuple[Unit, ...]:
    """Everything that `function` may run, sorted: itself, what it uses, what that imports, and so on.

    A function inside another one counts as the outer one.
    """
    start = Unit(function.__module__, function.__qualname__.partition(".")[0])
    _File.outside(function)
    found, waiting = {start}, [start]
    with without_collection():
        while waiting:
            new = set(_uses(waiting.pop())) - found
            found |= new
            waiting += new
    return tuple(sorted(found))


class _File:
    """One file, parsed: what its top says each name is, and what it imports."""

    #: Files of functions that are not in the package, by module.
    other: dict[str, Path] = {}  # noqa: RUF012  # filled by `outside`

    def __init__(self, module: str) -> None:
        self.module = module
        self.path = self.other.get(module) or _path(module)
        assert self.path is not None, module
        self.source = self.path.read_bytes()
        self.tree = ast.parse(self.source)
        self.lines = self.source.splitlines(keepends=True)
        self.resources = _names_resources(self.source)
        #: Nodes that bind a name at the top, those for types only left out.
        self.top: dict[str, list[ast.stmt]] = {}
        for node in _statements(self.tree.body):
            for name in _binds(node):
                self.top.setdefault(name, []).append(node)

    @classmethod
    def outside(cls, function: Callable[..., Any]) -> None:
        """Note where the module of `function` is, where that is none of the package."""
        if _path(function.__module__) is None:
            cls.other[function.__module__] = Path(function.__code__.co_filename)


@cache
def _file(module: str) -> _File:
    return _File(module)


@cache
def _uses(unit: Unit) -> frozenset[Unit]:
    """What `unit` uses itself."""
    if unit.folder:
        files = [path for path in _resources(unit.name) if path.suffix == ".py"]
        sources = [path.read_bytes() for path in files]
        return frozenset(used for source in sources for used in _loads(ast.parse(source), _names_resources(source)))
    file = _file(unit.module)
    if not unit.name:
        return frozenset((*_loads(file.tree, file.resources), *_looked_up(file)))
    nodes = file.top.get(unit.name, [])
    plain = [node for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom)]
    return frozenset(used for node in nodes for used in _loads(node, file.resources)) | frozenset(
        used for node in plain for used in _names(node, file)
    )


def _looked_up(file: _File) -> Iterator[Unit]:
    """What a folder loads that takes whatever lies in it: every module of it."""
    assert file.path is not None
    if b"iter_modules(__path__)" in file.source:
        for path in file.path.parent.glob("*.py"):
            yield Unit(file.module if path == file.path else f"{file.module}.{path.stem}")


def _names(node: ast.AST, file: _File) -> Iterator[Unit]:
    """What the names in `node` stand for, by the top of its `file` or by an import inside `node`."""
    inner = {name for one in ast.walk(node) if isinstance(one, ast.ImportFrom) for name in _binds(one)}
    inner |= {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            for bound in file.top.get(one.value.id, []):
                if isinstance(bound, ast.ImportFrom) and (door := _door_member(bound, one.value.id, one.attr)):
                    yield door
        elif isinstance(one, ast.Name) and one.id not in inner:
            for bound in file.top.get(one.id, []):
                if isinstance(bound, ast.Import | ast.ImportFrom):
                    yield from _imported(bound, one.id)
                else:
                    yield Unit(file.module, one.id)


def _door_member(node: ast.ImportFrom, name: str, attribute: str) -> Unit | None:
    """``api.train`` after ``from hwprm import api``: the function, not the module."""
    for alias in node.names:
        module = f"{node.module}.{alias.name}"
        if (alias.asname or alias.name) == name and _in(module, DOORS) and _path(module):
            return Unit(module, attribute)
    return None


def _names_resources(source: bytes) -> bool:
    """Whether a file of this text can name folders of resources."""
    return resource_dir.__name__.encode() in source


def _loads(tree: ast.AST, resources: bool) -> Iterator[Unit]:
    """What `tree` loads: by its imports, and the folders of resources that it names in calls of `resource_dir`.

    Imports are statements, so that expressions are looked through for `resources` alone.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node)
        elif isinstance(node, ast.If) and _types_only(node):
            waiting += node.orelse
        else:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == resource_dir.__name__:
                kinds = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
                yield from (Unit(PACKAGE, kind, folder=True) for kind in kinds)
            waiting += (child for child in ast.iter_child_nodes(node) if resources or isinstance(child, _BODIES))


def _imported(node: ast.Import | ast.ImportFrom, only: str | None = None) -> Iterator[Unit]:
    """What the import `node` loads: everything, or what binds the name `only`."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            if only in (None, alias.asname or alias.name.partition(".")[0]):
                yield from _loaded(alias.name)
        elif node.module and only in (None, alias.asname or alias.name):
            yield from _member(node.module, alias.name)


def _member(module: str, name: str) -> Iterator[Unit]:
    """What ``from module import name`` loads."""
    whole = f"{module}.{name}"
    if _path(whole):
        # Of a door as a module, its members count when they are used, see `_names`.
        yield from () if _in(whole, DOORS) else _loaded(whole)
    elif _in(module, DOORS):
        yield Unit(module, name)
    else:
        yield from _loaded(module)


def _loaded(module: str) -> Iterator[Unit]:
    """`module` and the folders that it lies in, but the package itself, which loads nothing by itself."""
    if _path(module) is None or _in(module, SHOWN):
        return
    parts = module.split(".")
    for count in range(2, len(parts) + 1):
        yield Unit(".".join(parts[:count]))


def _text(unit: Unit) -> bytes:
    """The bytes that count of `unit`."""
    if unit.folder:
        return b"".join(path.read_bytes() for path in _resources(unit.name))
    file = _file(unit.module)
    if not unit.name:
        return file.source
    return b"".join(b"".join(file.lines[_first(node) - 1 : node.end_lineno]) for node in file.top.get(unit.name, []))


def _first(node: ast.stmt) -> int:
    """First line of `node`, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _resources(kind: Any) -> list[Path]:
    return sorted(path for path in resource_dir(kind).rglob("*") if path.suffix in SUFFIXES)


@cache
def _path(module: str) -> Path | None:
    """The file of a module of the package; None for anything else."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    base = ROOT.joinpath(*rest)
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is loaded, those inside `if` and `try` too."""
    for node in body:
        if isinstance(node, ast.If) and _types_only(node):
            yield from _statements(node.orelse)
        elif isinstance(node, ast.If | ast.Try):
            for part in (node.body, node.orelse, *(one.body for one in getattr(node, "handlers", ()))):
                yield from _statements(part)
        else:
            yield node


def _types_only(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _binds(node: ast.stmt) -> Iterator[str]:
    """The names that `node` binds at the top of a module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
