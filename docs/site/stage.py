"""The sources of the site: pages of the repository as they are, what they link to, and the API reference.

Every page lies where it lies in the repository, so that its links are right in both places. A file that is linked to
and is no page becomes one, which shows it; a folder becomes its README, or the list of what is in it.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path, PurePosixPath

import reference

__all__ = ["ROOT", "BrokenLinkError", "pictures", "stage"]

ROOT = Path(__file__).resolve().parents[2]
HOME = "docs/index.md"
PICTURES = (".svg", ".png")
LEXERS = {".py": "python", ".toml": "toml", ".yml": "yaml", ".yaml": "yaml", ".v": "verilog", ".json": "json"}
#: A link to a file, with its anchor; not to an address, nor inside the page.
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)\s#]+)(#[^)\s]*)?(?=\))")
#: A link to a heading, of another page or of this one.
ANCHOR = re.compile(r"(?<=\]\()(?![a-z]+:)([^)\s#]*)#([^)\s]+)(?=\))")
#: Code, in which nothing is a link: blocks first, then what stands between backticks.
CODE = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2[ \t]*$|(`+)(?!`).*?(?<!`)\3(?!`))", re.DOTALL | re.MULTILINE)


class BrokenLinkError(Exception):
    """A page links to something that is not there."""


def stage(out: Path) -> list[str]:
    """Write all sources of the site below `out`; the paths of its pages. Raises BrokenLinkError."""
    parts = tomllib.loads((ROOT / "docs" / "site" / "nav.toml").read_text(encoding="utf-8"))["part"]
    api = reference.pages()
    texts: dict[str, str] = {}
    waiting = [HOME, *(page for part in parts for page in part["pages"])]
    named = {*waiting, *api}
    while waiting:
        page = waiting.pop()
        if page in texts:
            continue
        texts[page], others = _linked(page, _text(page))
        waiting += others
    for page, text in texts.items():
        _check_anchors(page, text, texts)
    texts |= api
    texts[HOME] += "".join(_tree(part["title"], part["pages"], part.get("called", {})) for part in parts)
    texts["docs/reference.md"] += _tree("Folders", list(api), {}, hidden=False)
    for page, text in texts.items():
        file = out / page
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if page in named else f"---\norphan: true\n---\n\n{text}", encoding="utf-8")
    return sorted(texts)


def _linked(page: str, text: str) -> tuple[str, list[str]]:
    """`text` with every link to a file or folder as one to its page, and those pages."""
    others: list[str] = []

    def link(match: re.Match[str]) -> str:
        target = _resolved(page, match[1])
        if target.endswith(PICTURES):
            return match[0]
        name = _page(target)
        others.append(name)
        up = "../" * page.count("/")
        return f"{up}{name}{match[2] or ''}" if name != target else match[0]

    pieces: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        pieces += [LINK.sub(link, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, LINK.sub(link, text[end:])]), others


def _check_anchors(page: str, text: str, texts: dict[str, str]) -> None:
    """Raises BrokenLinkError when `page` links to a heading that its page has not."""
    for match in ANCHOR.finditer(CODE.sub("", text)):
        target = _resolved(page, match[1]) if match[1] else page
        if target in texts and match[2] not in _anchors(texts[target]):
            raise BrokenLinkError(f"{page} links to {match[0]}, and {target} has no such heading; mend the link")


def _anchors(text: str) -> set[str]:
    """What headings are called in links: small letters, digits, - for each space; a number behind those of one name."""
    found: set[str] = set()
    blocks = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.*)$", blocks, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        count = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in found)
        found.add(f"{name}-{count}" if count else name)
    return found


def _resolved(page: str, link: str) -> str:
    """The path in the repository that a link of `page` means. Raises BrokenLinkError when nothing lies there."""
    path = (ROOT / page).parent.joinpath(link).resolve()
    if not path.is_relative_to(ROOT) or not path.exists():
        raise BrokenLinkError(f"{page} links to {link}, which is not there; mend the link")
    return path.relative_to(ROOT).as_posix()


def _page(target: str) -> str:
    """The page for a file or a folder."""
    if (ROOT / target).is_dir():
        return f"{target}/README.md" if (ROOT / target / "README.md").is_file() else f"{target}/folder.md"
    return target if target.endswith(".md") else f"{target}.md"


def _text(page: str) -> str:
    """The Markdown of a page: that of the file, or of the file or folder that it shows."""
    if (ROOT / page).is_file():
        return (ROOT / page).read_text(encoding="utf-8")
    path = PurePosixPath(page)
    if path.name == "folder.md":
        names = sorted(item.name for item in (ROOT / path.parent).iterdir() if not item.name.startswith((".", "_")))
        return "\n".join([f"# `{path.parent}`", "", *(f"- [`{name}`]({name})" for name in names)]) + "\n"
    source = page.removesuffix(".md")
    data = (ROOT / source).read_bytes()
    try:
        code = data.decode()
    except UnicodeDecodeError:
        return f"# `{source}`\n\n{len(data):,} bytes, not text: the file lies in the repository.\n"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", code)), default=0))
    lexer = LEXERS.get(PurePosixPath(source).suffix, "text")
    return f"# `{source}`\n\n{fence}{lexer}\n{code.rstrip()}\n{fence}\n"


def _tree(title: str, pages: list[str], called: dict[str, str], *, hidden: bool = True) -> str:
    lines = [f"{called[page]} </{page}>" if page in called else f"/{page}" for page in pages]
    options = f":caption: {title}\n" + (":hidden:\n" if hidden else "")
    return "\n```{toctree}\n" + options + "".join(f"\n{line}" for line in lines) + "\n```\n"


def pictures(out: Path) -> None:
    """Copy the pictures of docs/ to where the pages look for them."""
    for file in (ROOT / "docs").glob("*"):
        if file.suffix in PICTURES:
            shutil.copy(file, out / "docs" / file.name)
