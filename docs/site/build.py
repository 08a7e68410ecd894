"""Builds the documentation site: `make docs`, or `python docs/site/build.py [OUT]`. Needs the extra `docs`, no network.

Every warning of Sphinx is an error, above all a link to a page or a heading that is not there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx
from stage import ROOT, BrokenLinkError, pictures, stage

#: The first page of the site, for whoever opens the folder.
DOOR = """<!doctype html>
<meta charset="utf-8">
<title>hwprm</title>
<meta http-equiv="refresh" content="0; url=docs/index.html">
<a href="docs/index.html">hwprm</a>
"""


def main(out: Path) -> int:
    """Stage, build; the exit code. `out` is replaced if it was made here before."""
    sources = out.with_name(f"{out.name}-sources")
    for folder in (out, sources):
        if folder.exists():
            if not (folder / ".hwprm-site").exists():
                print(f"error: {folder} was not made by this program; name another folder", file=sys.stderr)
                return 2
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / ".hwprm-site").touch()
    try:
        stage(sources)
    except BrokenLinkError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    pictures(sources)
    settings = str(ROOT / "docs" / "site")
    code = sphinx(
        ["-q", "-W", "--keep-going", "-c", settings, "-d", str(sources / ".doctrees"), str(sources), str(out)]
    )
    if code:
        return code
    (out / "index.html").write_text(DOOR, encoding="utf-8")
    (out / ".nojekyll").touch()  # else GitHub's pages leave out folders whose names begin with _
    print(f"{out}: {len(list(out.rglob('*.html')))} pages; open {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"))
