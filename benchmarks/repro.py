"""Rows of the papers' tables: accuracy of the integer network on the test split, mean and spread over seeds.

What: every recipe of examples/recipes that is not made for a GPU, or those named; each with three seeds.
How: `hwprm repro ROW` does the same for one row. All decisions are taken on images held out of the training split, the
test split is read once per row and seed. One thread a process; two processes with different rows may share --out. What
is finished in --out is reused, so an interrupted run goes on where it was. With --collect nothing is run: rows that
--out has seeds of take the place of theirs in the results, the others stay there; results that another version of a
recipe left are named and left out.
Target: `reach` of each recipe, at its compression.
"""

from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

from accuracy import Stopwatch
from common import RUNS, parser, say, write_results
from repro_tables import rows_in_full

from hwprm.config.recipes import Recipe, load_recipe, recipe_names
from hwprm.pipeline.results import finished, summarise
from hwprm.pipeline.rows import run_recipe


def main() -> None:
    """Run the recipes, print and write what they reached."""
    args = _arguments()
    overrides = {("data", "data_dir"): args.data_dir} if args.data_dir else {}
    recipes = [load_recipe(row, overrides) for row in args.rows or recipe_names()]
    recipes = [recipe for recipe in recipes if args.rows or not recipe.gpu]
    done: dict[str, list[dict[str, Any]]] = {recipe.name: [] for recipe in recipes}
    for seed in args.seeds:
        for recipe in recipes:
            if args.collect:
                done[recipe.name] += _finished(args, recipe, seed)
                continue
            say(f"{recipe.name}, seed {seed}")
            watch = Stopwatch(args.out / "cpu" / f"{recipe.name}-{seed}.json")
            result = run_recipe(recipe, args.out, seed, watch)
            say(f"{recipe.name}, seed {seed}: {json.dumps(result['accuracy'])}")
            done[recipe.name].append(result)
    rows = [summarise(recipe, done[recipe.name]) for recipe in recipes if done[recipe.name]]
    print(rows_in_full({"rows": rows}, {recipe.name: recipe for recipe in recipes}))
    if args.collect:
        known = {recipe.name for recipe in recipes} & set(recipe_names())
        rows = merged([row for row in rows if row["row"] in known], args.results / "repro.json")
    if args.collect or not args.rows:
        say(f"written: {write_results('repro', {'rows': rows}, args.results)}")


def merged(rows: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """`rows`, and those of other names that the results in `file` have, by their names."""
    before = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    return sorted(
        ({row["row"]: row for row in before} | {row["row"]: row for row in rows}).values(), key=itemgetter("row")
    )


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument(
        "rows", nargs="*", help="rows to run (default: all that are not for a GPU, and the results are written)"
    )
    made.add_argument("--data-dir", help="folder of the full data sets")
    made.add_argument("--out", type=Path, default=RUNS / "repro", help="run folder (default: %(default)s)")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    made.add_argument("--collect", action="store_true", help="only gather what --out holds")
    return made.parse_args()


def _finished(args: Any, recipe: Recipe, seed: int) -> list[dict[str, Any]]:
    place = args.out / recipe.name / f"seed-{seed}"
    result = finished(recipe, place)
    if result is None and (place / "result.json").is_file():
        say(f"{recipe.name}, seed {seed}: left out, {place / 'result.json'} is not of this recipe; run it again")
    return [result] if result else []


if __name__ == "__main__":
    main()
