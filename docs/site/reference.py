"""The API reference: pages of Markdown from the docstrings, read as text; nothing of the package is imported.

What is public is what a folder's `__all__` names. A name is followed through imports to the file that defines it;
there stand its signature, its docstring, and the texts of its fields: comments ``#:``, or ``Doc`` in their annotations.
What a folder passes on from another one stands on the page of that one; the verbs, from wherever they are, on the page
of the package.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["pages"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "hwprm"
#: Whose names are all names of the package.
VERBS = "hwprm.api"
#: Where kinds of options have names.
KINDS = "hwprm.config.kinds"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Defined = Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Module:
    """A file of the package: its tree, its lines, and where its imported names come from."""

    name: str
    tree: ast.Module
    lines: tuple[str, ...]

    @property
    def exported(self) -> list[str]:
        """What `__all__` says."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return list(ast.literal_eval(node.value))
        return []

    def imported(self, name: str) -> tuple[str, str] | None:
        """Module and name behind `name`, where it is imported."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return node.module, alias.name
        return None

    def defined(self, name: str) -> Defined | None:
        """The statement that makes `name`."""
        for node in self.tree.body:
            if isinstance(node, Function | ast.ClassDef) and node.name == name:
                return node
            if isinstance(node, ast.Assign) and name in {
                inner.id for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name)
            }:
                return node
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
                return node
        return None

    def remark(self, node: ast.stmt) -> str:
        """The text of the comments ``#:`` above a statement or behind it."""
        behind = re.search(r"#: (.*)", self.lines[(node.end_lineno or node.lineno) - 1])
        above: list[str] = []
        line = node.lineno - 2
        while line >= 0 and (found := re.fullmatch(r"\s*#: ?(.*)", self.lines[line])):
            above.insert(0, found[1])
            line -= 1
        return " ".join([*above, *([behind[1]] if behind else [])])


@cache
def _module(name: str) -> Module | None:
    base = ROOT.joinpath(*name.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    return Module(name=name, tree=ast.parse(text), lines=tuple(text.splitlines()))


def _found(module: str, name: str) -> tuple[Module, Defined | Module]:
    """Where `name` of `module` is defined. Raises LookupError when it is not in the package."""
    here = _module(module)
    if here is None:
        raise LookupError(f"{module} is no module")
    node = here.defined(name)
    if node is not None:
        return here, node
    behind = here.imported(name)
    if behind is not None:
        return _found(*behind)
    inner = _module(f"{module}.{name}")
    if inner is None:
        raise LookupError(f"{module}.{name} is exported and not defined")
    return here, inner


def pages() -> dict[str, str]:
    """Every page by its path in the site; the first is the list of all."""
    folders = [PACKAGE, *(f"{PACKAGE}.{path.parent.name}" for path in sorted((ROOT / PACKAGE).glob("*/__init__.py")))]
    made = {}
    for folder in folders:
        module = _module(folder)
        if module is not None and module.exported and folder != VERBS:
            made[f"docs/reference/{folder}.md"] = _page(module)
    return made


def _page(module: Module) -> str:
    parts = [f"# `{module.name}`", _prose(ast.get_docstring(module.tree) or "")]
    if module.name == PACKAGE:
        parts += ["## Verbs", *_verbs(module), "## Types", *_types(module)]
    else:
        for name in module.exported:
            parts += _entry(module.name, name)
    return "\n\n".join(parts) + "\n"


def _verbs(module: Module) -> Iterator[str]:
    for name in module.exported:
        if isinstance(_found(module.name, name)[1], Function):
            yield from _entry(module.name, name)


def _types(module: Module) -> Iterator[str]:
    """Classes stand with the folder that has them; here is where."""
    rows = []
    for name in module.exported:
        where, node = _found(module.name, name)
        if isinstance(node, ast.ClassDef):
            folder = ".".join(where.name.split(".")[:2])
            first = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            rows.append(f"| {{py:class}}`{folder}.{name}` | {_prose(first)} |")
    yield "\n".join(["| type | what |", "|---|---|", *rows])


def _entry(folder: str, name: str) -> Iterator[str]:
    where, node = _found(folder, name)
    full = f"{folder}.{name}"
    if folder != PACKAGE and not f"{where.name}.".startswith(f"{folder}."):
        yield f"`{name}` is from {{py:obj}}`{'.'.join(where.name.split('.')[:2])}.{name}`."
    elif isinstance(node, Module):
        yield f"## `{full}`"
        yield _prose(ast.get_docstring(node.tree) or "")
        for inner in node.exported:
            yield from _entry(node.name, inner)
    elif isinstance(node, Function):
        yield _directive("function", f"{full}{_signature(node)}", _doc(node), 3)
    elif isinstance(node, ast.ClassDef):
        inner = "\n\n".join([_doc(node), *_members(where, node, full)])
        yield _directive("class", f"{full}{_constructor(node)}", inner, 4)
    else:
        value = _literal(node, name)
        shown = f"Value: `` {value} ``" if value else ""
        yield _directive("data", full, "\n\n".join(filter(None, [_prose(where.remark(node)), shown])), 3)


def _literal(node: ast.Assign | ast.AnnAssign, name: str) -> str:
    """The value as it is written, where it is short, says all, and is of this name alone."""
    alone = isinstance(node, ast.AnnAssign) or ast.unparse(node.targets[0]) == name
    if node.value is None or not alone or len(ast.unparse(node.value)) > 100:
        return ""
    try:
        ast.literal_eval(node.value)
    except ValueError:
        return ""
    return ast.unparse(node.value)


def _members(where: Module, node: ast.ClassDef, full: str) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_"):
            options = f"\n:type: {_kind(item.annotation, bare=False)}"
            told = _prose(_text(item.annotation) or where.remark(item))
            yield _directive("attribute", f"{full}.{ast.unparse(item.target)}{options}", told, 3)
        elif isinstance(item, Function) and not item.name.startswith("_") and ast.get_docstring(item):
            marks = [ast.unparse(mark) for mark in item.decorator_list]
            if any(mark in ("property", "cached_property", "functools.cached_property") for mark in marks):
                kind = f"\n:type: {ast.unparse(item.returns)}" if item.returns else ""
                yield _directive("property", f"{full}.{item.name}{kind}", _doc(item), 3)
            else:
                yield _directive("method", f"{full}.{item.name}{_signature(item, bound=True)}", _doc(item), 3)


class _Spelled(ast.NodeTransformer):
    """Names of kinds as what they stand for; with `bare` types alone, without bounds and texts."""

    def __init__(self, *, bare: bool) -> None:
        self.bare = bare

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802  # so `ast` calls it
        kinds = _module(KINDS)
        found = kinds.defined(node.id) if kinds else None
        return self.visit(found.value) if isinstance(found, ast.Assign) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:  # noqa: N802  # alike
        if ast.unparse(node.value) != "Annotated" or not isinstance(node.slice, ast.Tuple):
            return self.generic_visit(node)
        kind, *marks = node.slice.elts
        marks = [] if self.bare else [mark for mark in marks if not ast.unparse(mark).startswith("Doc(")]
        inner = self.visit(kind)
        return ast.Subscript(value=node.value, slice=ast.Tuple(elts=[inner, *marks])) if marks else inner


def _kind(annotation: ast.expr, *, bare: bool) -> str:
    return ast.unparse(_Spelled(bare=bare).visit(copy.deepcopy(annotation)))


def _text(annotation: ast.expr) -> str:
    """What ``Annotated[..., Doc(text)]`` says; nothing for other annotations."""
    calls = [node for node in ast.walk(annotation) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Doc"]
    return str(ast.literal_eval(calls[0].args[0])) if calls else ""


def _signature(node: Function, *, bound: bool = False) -> str:
    args = ast.parse(ast.unparse(node)).body[0].args  # type: ignore[attr-defined]  # a function again
    if bound and args.args and args.args[0].arg in ("self", "cls"):
        args.args.pop(0)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(args)}){returns}"


def _constructor(node: ast.ClassDef) -> str:
    """What a class is made of: `__init__`, or the fields of a dataclass."""
    for item in node.body:
        if isinstance(item, Function) and item.name == "__init__":
            return _signature(item, bound=True).partition(" -> ")[0]
    if not any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
        return ""
    fields = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation):
            default = f" = {ast.unparse(item.value)}" if item.value is not None else ""
            if "default_factory" in default or len(default) > 40:
                default = " = ..."
            fields.append(f"{ast.unparse(item.target)}: {_kind(item.annotation, bare=True)}{default}")
    return f"({', '.join(fields)})"


def _doc(node: Function | ast.ClassDef) -> str:
    return _prose(ast.get_docstring(node) or "")


def _prose(text: str) -> str:
    """A docstring as Markdown: angle brackets outside of code are no tags."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(piece if piece.startswith("`") else piece.replace("<", "&lt;") for piece in pieces)


def _directive(kind: str, head: str, body: str, colons: int) -> str:
    fence = ":" * colons
    return f"{fence}{{py:{kind}}} {head}\n\n{body}\n{fence}"
