"""Facts as tables for a terminal. Every column says its unit; a table appears where its facts are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from hwprm.core.formats import SILICON, STUDY
from hwprm.reporting.silicon import silicon_tables, size_table
from hwprm.reporting.study import study_tables

__all__ = ["RULES", "overview", "tables"]

Facts = Mapping[str, Any]
#: Rules of P-RM, by the thresholds of Algorithm 1.
RULES = {"column": "Th1", "channel": "Th2, Th3", "filter": "Th4", "path": "unused path"}
#: Blank filters that are told of one by one.
REFUSALS = 5
#: What a row counts, in words.
COUNTED = {"conv_only": "convolutions", "all_weights": "all weights", "nonzero": "non-zero weights"}


def tables(facts: Facts) -> tuple[Table, ...]:
    """One table for each part of a report that `facts` holds; docs/report.md lists the keys."""
    if facts.get("format") == SILICON:
        return silicon_tables(facts)
    if facts.get("format") == STUDY:
        return study_tables(facts)
    if "seeds" in facts:
        return _row(facts), _seeds(facts)
    parts: tuple[tuple[str, Callable[[Facts], Table]], ...] = (
        ("net", _summary),
        ("blocks", _widths),
        ("accuracy", _accuracy),
        ("waterfall", _waterfall),
        ("waterfall", _matrices),
        ("removals", _removals),
        ("refusals", _refusals),
        ("quality", _quality),
        ("cycles", _cycles),
        ("cycles", _lists),
        ("size", size_table),
        ("memory", _memory),
        ("verify", _verification),
        ("seconds", _seconds),
    )
    made = (make(facts) for key, make in parts if facts.get(key))
    return tuple(table for table in made if table.row_count)


def overview(facts: Facts) -> tuple[Table, ...]:
    """One table of a whole run; what failed in verification follows, if anything did."""
    table = _summary(facts)
    cycles, verify = facts["cycles"], facts["verify"]
    simulated = f"{cycles['predicted']} predicted, {cycles['simulated']} simulated"
    promised = f"promise {cycles['promise']}, limit {cycles['limit']:.0f}, bound {cycles['bound']:.0f}"
    compared = f"{verify['values_compared']} integers compared, {verify['mismatches']} mismatches"
    for name, value in (
        ("accuracy, per cent", ", ".join(f"{value:.2f} {stage}" for stage, value in facts["accuracy"].items())),
        (f"cycles per {'batch' if 'batch' in cycles else 'image'}", f"{simulated} ({promised})"),
        ("verification", f"{verify['simulator']}: {verify['images']} images, {compared}"),
        ("time", f"{sum(facts['seconds'].values()):.1f} s"),
    ):
        table.add_row(name, escape(value))
    return (table, _verification(facts)) if verify["failures"] else (table,)


def _summary(facts: Facts) -> Table:
    table = _table("Summary", "what", "value")
    rows = [("network", facts["net"])]
    if data := facts.get("data"):
        counts = f", {data['train']} train, {data['test']} test images" if "train" in data else ""
        rows.append(("data", f"{data['name']} ({data['source']}){counts}"))
    if "seed" in facts:
        rows.append(("seed", facts["seed"]))
    if stage := facts.get("stage"):
        rows.append(("stage", stage))
    if array := facts.get("array"):
        widths = f"{array['weight_bits']}-bit weights, {array['act_bits']}-bit activations"
        widths += f", {array['acc_bits']}-bit accumulators" if array.get("acc_bits") else ""
        rows.append(("array", f"{array['rows']} x {array['cols']}, {widths}"))
    if unsigned := facts.get("unsigned"):
        rows.append(("unsigned tensors", f"{len(unsigned)}: {', '.join(unsigned)}"))
    compressed = dict(facts.get("compression", {}))
    if (steps := facts.get("waterfall")) and _holes(steps[-1:]):
        compressed |= {"nonzero": _nonzero(steps[-1])}
    for label, key in (
        ("conv-only", "conv_only"),
        ("all weights", "all_weights"),
        ("not zero", "nonzero"),
        ("stored bits", "stored_bits"),
    ):
        if entry := compressed.get(key):
            rows.append((f"compression, {label}", f"{entry['ratio']:.2f}x ({entry['base']} -> {entry['left']})"))
    if "seed" in facts:
        rows.append(("clock cycles per image", facts["predicted"]["image"]))
    if teacher := facts.get("teacher"):
        rows.append(("teacher", f"{teacher['name']}, weights {teacher['sha256'][:12]}"))
    for name, value in rows:
        table.add_row(name, escape(str(value)))
    return table


def _accuracy(facts: Facts) -> Table:
    held = facts.get("validation", {})
    table = _table(
        f"Accuracy on {facts.get('judged', 'the test split')}",
        "stage",
        "per cent",
        *(("held-out images",) if held else ()),
    )
    for stage, value in facts["accuracy"].items():
        beside = (f"{held[stage]:.2f}" if stage in held else "-",) if held else ()
        table.add_row(stage, f"{value:.2f}", *beside)
    return table


def _waterfall(facts: Facts) -> Table:
    """What each step left, and the share of the dense network's weights that it took.

    Rectangles are counted; where zeros lie inside them, as after unstructured pruning, those without zeros come beside.
    """
    rows = facts["waterfall"]
    holes = _holes(rows)
    columns = ("after", "conv weights", "all weights", "taken", *(("not zero",) if holes else ()), "stored bits")
    table = _table("Compression: what is left (ratio to dense)", *columns)
    before = rows[0]["all_weights"]["base"]
    for row in rows:
        weights = row["all_weights"]
        counts = [row["conv_only"], weights, *([_nonzero(row)] if holes else []), row["stored_bits"]]
        cells = [f"{count['left']} ({count['ratio']:.2f}x)" for count in counts]
        taken = 100 * (before - weights["left"]) / weights["base"]
        table.add_row(row["stage"], *cells[:2], f"{taken:.2f}%" if taken else "-", *cells[2:])
        before = weights["left"]
    return table


def _holes(rows: list[Facts]) -> bool:
    """Whether zeros lie inside the rectangles of any step."""
    return any(_nonzero(row)["left"] < row["all_weights"]["left"] for row in rows)


def _nonzero(row: Facts) -> Facts:
    """Weights that are not zero; a waterfall of an older version knows its rectangles only."""
    found: Facts = row.get("nonzero", row["all_weights"])
    return found


def _matrices(facts: Facts) -> Table:
    """Rows and columns that each layer's matrix keeps, of those that the dense network had."""
    first, last = facts["waterfall"][0], facts["waterfall"][-1]
    nonzero = last.get("nonzero", {}).get("layers", {})
    table = _table("Weight matrices: rows and columns kept", "layer", "rows", "columns", "weights", "not zero", "ratio")
    # A saved waterfall has lost the order of the layers.
    order = list(facts.get("layers") or [row["name"] for row in facts.get("cycles", {}).get("layers", ())])
    names = sorted(last.get("layers", {}), key=lambda name: order.index(name) if name in order else len(order))
    for name in names:
        rows, cols = last["layers"][name]
        base_rows, base_cols = first["layers"][name]
        left, base = rows * cols, base_rows * base_cols
        ratio = f"{base / left:.2f}x" if left else "-"
        cells = (f"{rows} of {base_rows}", f"{cols} of {base_cols}", f"{left} of {base}")
        table.add_row(escape(name), *cells, str(nonzero.get(name, "-")), ratio)
    return table


def _removals(facts: Facts) -> Table:
    """What each rule of P-RM took of each layer."""
    table = _table("P-RM: what was removed", "rule", "layer", "what", "how many", "weights freed")
    rows = facts["removals"]
    for row in rows:
        table.add_row(RULES[row["rule"]], escape(row["layer"]), row["kind"], str(row["count"]), str(row["weights"]))
    if rows:
        table.add_row("all", "", "", "", str(sum(row["weights"] for row in rows)))
    return table


def _refusals(facts: Facts) -> Table:
    """Blank filters that had to stay; of many, the first ones and how many more there are."""
    texts = facts["refusals"]
    table = _table("P-RM: what could not be removed exactly", "value")
    for text in texts[:REFUSALS]:
        table.add_row(escape(text))
    if more := texts[REFUSALS:]:
        table.add_row(f"and {len(more)} more")
    return table


def _widths(facts: Facts) -> Table:
    """What `hwprm widths` found for every layer: how many there were, and how many stay."""
    cost = facts["cost"]
    rank = "" if facts["threshold"] is None else f", importance from {facts['threshold']:.3g}"
    title = f"Widths: {facts['after']} of {facts['before']} {cost}, budget {facts['budget']}{rank}"
    table = _table(title, "layer", "filters", "channels", cost)
    for name, layer in facts["layers"].items():
        pairs = (layer.get(key) for key in ("filters", "channels", "cost"))
        table.add_row(escape(name), *("-" if pair is None else f"{pair[0]} -> {pair[1]}" for pair in pairs))
    table.add_row("image", "", "", f"{facts['before']} -> {facts['after']}")
    return table


def _cycles(facts: Facts) -> Table:
    cycles = facts["cycles"]
    array = facts.get("array")
    where = f" on {array['rows']} x {array['cols']}" if array else ""
    waits = ("memory stalls",) if "stalls" in cycles else ()
    batch = cycles.get("batch", 1)
    whole = "image" if batch == 1 else f"batch of {batch}"
    columns = ("layer", "predicted", *waits, "simulated", "promise", "bound", "x bound", "used, per cent")
    table = _table(f"Clock cycles per {whole}{where}", *columns)
    for row in [*cycles["layers"], {"name": whole, **{k: v for k, v in cycles.items() if k != "layers"}}]:
        simulated = row.get("simulated")
        table.add_row(
            row["name"],
            str(row["predicted"]),
            *(str(row["stalls"]) for _ in waits),
            "-" if simulated is None else str(simulated),
            str(row["promise"]),
            f"{row['bound']:.0f}",
            f"{row['predicted'] / row['bound']:.2f}",
            f"{100 * row['utilisation']:.1f}",
        )
    if batch > 1:
        table.add_row("an image of it", f"{cycles['per_image']:.1f}", *("" for _ in columns[2:]))
    return table


def _lists(facts: Facts) -> Table:
    """What irregular pruning costs: columns and zeros in the lists; what the order of the filters saves."""
    header = ("layer", "weights", "columns", "if regular", "x regular", "zeros, per cent", "saved by order, cycles")
    table = _table("Column lists of all filter tiles", *header)
    rows = facts["cycles"]["layers"]
    for row in rows:
        _list_row(table, row["name"], row, row["unordered"]["predicted"] - row["predicted"])
    sums = {key: sum(row[key] for row in rows) for key in ("weights", "listed", "regular", "slots")}
    _list_row(table, "image", sums, facts["cycles"]["unordered"] - facts["cycles"]["predicted"])
    return table


def _list_row(table: Table, name: str, counts: Facts, saved: int) -> None:
    table.add_row(
        name,
        str(counts["weights"]),
        str(counts["listed"]),
        str(counts["regular"]),
        f"{counts['listed'] / counts['regular']:.2f}",
        f"{100 * (1 - counts['weights'] / counts['slots']):.1f}",
        str(saved),
    )


def _quality(facts: Facts) -> Table:
    """What each layer's integers differ by from floats, with all layers in integers and alone."""
    quality = facts["quality"]
    title = f"Quantisation, on {quality['images']} test images"
    table = _table(title, "layer", "S/N, dB", "alone, dB", "alone loses, points", "clipped, per cent")
    for row in quality["layers"]:
        ratios = ("exact" if row[key] is None else f"{row[key]:.1f}" for key in ("sqnr_db", "alone_db"))
        lost = "-" if row["alone_lost"] is None else f"{row['alone_lost']:.2f}"
        table.add_row(escape(row["name"]), *ratios, lost, f"{row['clipped']:.3f}")
    return table


def _memory(facts: Facts) -> Table:
    memory = facts["memory"]
    table = _table("Memory", "where", "bits")
    for name, bits in memory["onchip_bits"].items():
        table.add_row(name, str(bits))
    table.add_row("on the chip", str(sum(memory["onchip_bits"].values())))
    table.add_row("outside", str(8 * memory["external_bytes"]))
    return table


def _verification(facts: Facts) -> Table:
    verify = facts["verify"]
    table = _table("Verification against the integer reference", "what", "value")
    for key, label in (
        ("simulator", "simulator"),
        ("images", "images"),
        ("values_compared", "integers compared"),
        ("mismatches", "mismatches"),
        ("memory_stalls", "memory stalls, last image"),
    ):
        if key in verify:
            table.add_row(label, escape(str(verify[key])))
    if coverage := verify.get("coverage"):
        table.add_row("goals reached by the images", f"{coverage['reached']} of {coverage['goals']}")
        table.add_row("... unreachable, open", f"{coverage['unreachable']}, {coverage['open']}")
    for case in verify["failures"]:
        table.add_row(f"[red]{escape(case['simulator'])} {escape(case['mode'])}[/]", escape(case["failure"]))
    return table


def _seconds(facts: Facts) -> Table:
    table = _table("Time", "stage", "seconds")
    for stage, value in facts["seconds"].items():
        table.add_row(stage, f"{value:.1f}")
    table.add_row("all", f"{sum(facts['seconds'].values()):.1f}")
    return table


def _row(facts: Facts) -> Table:
    """A row of a paper's table: the paper's figures, ours over all seeds, and the aim."""
    accuracy, paper, aim = facts["accuracy"], facts["paper"], facts["reach"]
    top = f" (top-{facts['top']})" if facts.get("top", 1) > 1 else ""
    title = f"{escape(facts['title'])}\n{escape(facts['source'])}"
    table = Table("", COUNTED[facts["count"]], f"accuracy, per cent{top}", title=title)
    table.add_row(
        "paper", _times(paper["compression"]), "-" if paper["accuracy"] is None else f"{paper['accuracy']:.2f}"
    )
    ours = f"{accuracy['mean']:.2f}, seeds within {accuracy['spread']:.2f}"
    table.add_row("hwprm, 8-bit integers", _times(facts["compression"]), ours)
    goal = "-" if aim["accuracy"] is None else f"{aim['accuracy']:.2f}"
    if aim["below_dense"] is not None:
        goal = f"{aim['below_dense']:g} below dense"
    reached = {True: ", reached", False: ", missed", None: ""}[facts["reached"]]
    small = f"{aim['cycles']:,.0f} cycles" if aim.get("cycles") else _times(aim["compression"])
    table.add_row("aim", small, goal + reached)
    return table


def _seeds(facts: Facts) -> Table:
    """A column for each seed: accuracies after every step, what is left, cycles, seconds."""
    results = facts["seeds"]
    table = Table("", *(Column(f"seed {result['seed']}", justify="right") for result in results))
    for stage in results[0]["accuracy"]:
        table.add_row(f"{stage}, per cent", *(f"{result['accuracy'][stage]:.2f}" for result in results))
    for count in results[0]["compression"]:
        counts = [result["compression"][count] for result in results]
        table.add_row(count.replace("_", " "), *(f"{one['left']:,} ({_times(one['ratio'])})" for one in counts))
    table.add_row("clock cycles an image", *(f"{result['cycles']:,}" for result in results))
    table.add_row("seconds", *(f"{sum(result['seconds'].values()):.0f}" for result in results))
    return table


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        # A step's name is what a row is found by; other words may be cut or wrapped in a narrow terminal.
        name = column in ("after", "stage")
        table.add_column(column, justify="left" if i == 0 or column == "value" else "right", no_wrap=name)
    return table
