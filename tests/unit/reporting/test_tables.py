"""Facts of each noun, and the tables they make."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

import hwprm
from hwprm.config import PurifyConfig, QuantizeConfig
from hwprm.core.errors import InputError
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.model import Model, Stage
from hwprm.pruning.prm.purification import purify
from hwprm.reporting import describe, model_facts, overview, tables
from hwprm.sources import as_dataset, as_network
from hwprm.training import accuracy
from tests.conftest import Run, tiny_graph
from tests.support.networks import Spec, compiled, network, seeded_weights

WATERFALL = [
    {
        "stage": stage,
        "conv_only": {"base": 100, "left": conv, "ratio": 100 / conv},
        "all_weights": {"base": 400, "left": conv * 2, "ratio": 200 / conv},
        "stored_bits": {"base": 3200, "left": conv * 32, "ratio": 100 / conv},
    }
    for stage, conv in (("dense", 100), ("admm", 25))
]
CYCLES = {
    "predicted": 150,
    "simulated": 150,
    "promise": 120,
    "bound": 100.0,
    "utilisation": 0.5,
    "unordered": 175,
    "layers": [
        {
            **{
                "name": "conv[1]",
                "predicted": 150,
                "simulated": None,
                "promise": 120,
                "bound": 100.0,
                "utilisation": 0.5,
            },
            **{"weights": 60, "listed": 30, "regular": 20, "slots": 240},
            "unordered": {"predicted": 175, "listed": 36},
        }
    ],
}


def _print(
    facts: dict[str, Any], make: Callable[[dict[str, Any]], tuple[Table, ...]] = tables, width: int = 120
) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in make(facts):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_only_what_is_known_is_shown() -> None:
    assert _print({}) == ""
    assert "Accuracy" in _print({"accuracy": {"dense": 99.5}})
    assert "Summary" not in _print({"accuracy": {"dense": 99.5}})


def test_waterfall_shows_counts_and_ratios() -> None:
    text = _print({"waterfall": WATERFALL})
    assert "25 (4.00x)" in text
    assert "50 (8.00x)" in text
    assert "800 (4.00x)" in text


def _row(stage: str, left: int, nonzero: int) -> dict[str, Any]:
    count = {"base": 400, "left": left, "ratio": 400 / left}
    return {
        "stage": stage,
        **{"conv_only": count, "all_weights": count, "stored_bits": count},
        "nonzero": {"base": 400, "left": nonzero, "ratio": 400 / nonzero, "layers": {"conv": nonzero}},
        "layers": {"conv": [20, left // 20]},
    }


def test_waterfall_says_what_each_step_took() -> None:
    text = _print({"waterfall": [_row("dense", 400, 400), _row("admm", 100, 100), _row("path_removal", 80, 80)]})
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert [row[3] for row in cells if len(row) == 5] == ["-", "75.00%", "5.00%"]
    assert cells[-1] == ["conv", "20 of 20", "4 of 20", "80 of 400", "80", "5.00x"]
    assert "not zero" not in text.partition("Weight matrices")[0], "the rectangles are full"


def test_unstructured_pruning_is_counted_beside_the_rectangle() -> None:
    text = _print({"waterfall": [_row("dense", 400, 400), _row("admm", 400, 25)]})
    line = next(line for line in text.splitlines() if "admm" in line)
    assert [cell.strip() for cell in line.split("│")[3:-1]] == ["400 (1.00x)", "-", "25 (16.00x)", "400 (1.00x)"]
    assert "conv  │ 20 of 20 │ 20 of 20 │ 400 of 400 │       25 │ 1.00x" in text


def test_the_summary_counts_what_is_not_zero_where_there_are_holes() -> None:
    steps = [_row("dense", 400, 400), _row("path_removal", 400, 25)]
    counts = {key: steps[-1][key] for key in ("conv_only", "all_weights", "stored_bits")}
    facts = {"net": "net", "waterfall": steps, "compression": counts}
    text = _print(facts, width=80)
    assert "compression, not zero    │ 16.00x (400 -> 25)" in text
    big = {"base": 430500, "left": 123456, "ratio": 123.45}
    wide = [{**step, **dict.fromkeys(counts, big)} for step in steps]
    assert "path_removal" in _print({"waterfall": wide}, width=80), "names are whole in a narrow terminal"
    assert "not zero" not in _print(facts | {"waterfall": [_row("dense", 400, 400)]}).partition("Compression:")[0]


def test_a_row_says_where_it_is_from_and_what_it_judges() -> None:
    facts = {
        "title": "AlexNet",
        "source": "A paper, Table 1, top-5",
        "count": "conv_only",
        "top": 5,
        "paper": {"compression": 5.13, "accuracy": 81.76},
        "reach": {"compression": 5.13, "accuracy": 81.76, "below_dense": None},
        "accuracy": {"mean": 82.0, "spread": 0.1},
        "compression": 5.2,
        "reached": True,
        "seeds": [{"seed": 0, "accuracy": {}, "compression": {}, "cycles": 1, "seconds": {}}],
    }
    text = _print(facts)
    assert "A paper, Table 1, top-5" in text and "accuracy, per cent (top-5)" in text
    assert "(top-" not in _print(facts | {"top": 1})
    assert "5.13" in text and "3,990 cycles" not in text
    limited = _print(facts | {"reach": {**facts["reach"], "cycles": 3990}})  # type: ignore[dict-item]
    assert "3,990 cycles" in limited


def test_a_model_of_admm_alone_has_its_waterfall(tiny_model: Path) -> None:
    model = Model.load(tiny_model)
    conv = model.graph.weighted[0]
    conv.weight[0, 0, 0, 0] = conv.weight[2] = 0
    model.advance(model.graph, Stage.ADMM, accuracy={"admm": 80.0}).save(tiny_model)
    facts = describe(tiny_model)
    dense, admm = facts["waterfall"]
    assert (dense["stage"], dense["layers"]["conv"]) == ("dense", [4, 9])
    assert (admm["conv_only"]["left"], admm["nonzero"]["layers"]["conv"]) == (27, 26)
    assert facts["compression"]["conv_only"]["ratio"] == 36 / 27
    assert "26" in _print(facts).partition("Weight matrices")[2]


def test_cycles_show_what_was_not_simulated_as_a_dash() -> None:
    lines = _print({"cycles": CYCLES, "array": {"rows": 3, "cols": 2}}).splitlines()
    assert "Clock cycles per image on 3 x 2" in lines[0]
    row = next(line for line in lines if "conv[1]" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["conv[1]", "150", "-", "120", "100", "1.50", "50.0"]


def test_lists_show_what_irregular_pruning_costs() -> None:
    lines = _print({"cycles": CYCLES}).splitlines()
    row = [line for line in lines if "conv[1]" in line][1]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["conv[1]", "60", "30", "20", "1.50", "75.0", "25"]


def test_failures_are_told() -> None:
    case = {"simulator": "icarus", "mode": "bulk", "failure": "image 0, layer 'fc': expected 3, got 4 [x]"}
    verify = {"simulator": "icarus 11", "images": 2, "values_compared": 9, "mismatches": 1, "failures": [case]}
    coverage = {"goals": 36, "reached": 31, "compared": 20, "unreachable": 4, "open": 1, "layers": []}
    assert "31 of 36" not in _print({"verify": verify})
    text = _print({"verify": verify | {"coverage": coverage}})
    assert "31 of 36" in text
    assert "4, 1" in text
    assert "expected 3, got 4 [x]" in text


def test_model_folder(tiny_model: Path) -> None:
    model = Model.load(tiny_model)
    accuracy = {"integer": 1.0, "dense": 90.0, "admm": 80.0}
    model.advance(model.graph, model.stage, name="tiny", accuracy=accuracy, waterfall=WATERFALL).save(tiny_model)
    facts = describe(tiny_model)
    assert facts["net"] == "tiny"
    assert list(facts["accuracy"]) == ["dense", "admm", "integer"]
    assert facts["compression"] == {key: WATERFALL[-1][key] for key in ("conv_only", "all_weights", "stored_bits")}
    assert "25 (4.00x)" in _print(facts)


def test_network_folder(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    net = as_network(tiny_model, as_dataset(tiny_data), QuantizeConfig(weight_bits=5))
    net.save(tmp_path / "net")
    facts = describe(tmp_path / "net")
    assert (facts["net"], facts["weight_bits"], facts["act_bits"]) == ("tiny", 5, 8)
    assert facts["layers"] == {"conv": [[4, 1, 3, 3]], "fc": [[3, 4, 3, 3]]}


def test_unfinished_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"has no report\.json yet; finish it with `hwprm demo --out "):
        describe(tmp_path)
    for text in ("{", "{}", "[]"):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(InputError, match=r"report\.json cannot be read .*; delete it and run the demo again$"):
            describe(tmp_path)


def test_overview_is_one_table_unless_something_failed() -> None:
    verify = {"simulator": "sim 1", "images": 3, "values_compared": 30, "mismatches": 0, "failures": []}
    facts = {
        "net": "n",
        "accuracy": {"dense": 99.0, "integer": 98.5},
        "cycles": CYCLES | {"limit": 190.0},
        "verify": verify,
        "seconds": {"train": 1.5, "verify": 2.5},
    }
    text = _print(facts, overview)
    assert text.count("┏") == 1
    for part in ("99.00 dense, 98.50 integer", "150 predicted, 150 simulated", "3 images, 30 integers", "4.0 s"):
        assert part in text
    case = {"simulator": "sim", "mode": "bulk", "failure": "expected 1, got 2"}
    text = _print(facts | {"verify": verify | {"failures": [case], "mismatches": 1}}, overview)
    assert "expected 1, got 2" in text


def test_a_bundle_remembers_what_the_order_of_its_filters_saved(tmp_path: Path) -> None:
    weight = np.ones((4, 2, 1, 1), dtype=np.int64)
    weight[[0, 2], 0] = weight[[1, 3], 1] = 0
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weight),)),
        Spec(name="y", terms=(Term(source="a", weight=seeded_weights(2, 4, 3, 3)),), wide=True),
    )
    program = compiled(network((2, 3, 3), layers), 2, 2)
    images = np.zeros((1, 2, 3, 3), dtype=np.int64)
    cycles = describe(emit_bundle(program, images, np.zeros(1, dtype=np.int64), tmp_path / "bundle").folder)["cycles"]
    assert cycles["predicted"] == program.cycles.total < cycles["unordered"] == program.cycles.unordered
    assert cycles["layers"][0]["listed"] == 2
    assert cycles["layers"][0]["unordered"] == {"predicted": program.cycles.layers[0].unordered_cycles, "listed": 4}


def test_what_p_rm_took_is_told(tmp_path: Path) -> None:
    graph = tiny_graph()
    conv, fc = graph.weighted
    conv.weight[:, 0, 0, 0] = 0.001
    conv.bias[:] = 0
    conv.weight[3] = 0
    model = purify(Model(graph=graph, stage=Stage.ADMM), PurifyConfig(mode="absolute", th1=0.01))
    facts = model_facts(model)
    took = {(row["rule"], row["layer"], row["kind"]): (row["count"], row["weights"]) for row in facts["removals"]}
    assert took == {("column", "conv", "columns"): (1, 3), ("path", "fc", "columns"): (9, 27)}
    text = _print(facts)
    assert [cell.strip() for cell in next(line for line in text.splitlines() if "Th1" in line).split("│")[1:-1]] == [
        *("Th1", "conv", "columns", "1", "3")
    ]
    assert "unused path" in text and "could not be removed" not in text
    hwprm.export(model, out=tmp_path / "exported")
    assert describe(tmp_path / "exported")["removals"] == facts["removals"]


def test_of_many_blank_filters_a_few_are_told() -> None:
    text = _print({"removals": [], "refusals": [f"filter {i} of 'conv' stays" for i in range(7)]})
    assert "filter 4 of" in text and "filter 5 of" not in text and "and 2 more" in text
    assert "what was removed" not in text


def test_integers_stand_beside_the_floats_they_were_made_of(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run
) -> None:
    model = Model.load(tiny_model)
    model.advance(model.graph, model.stage, accuracy={"finetuned": 1.0}).save(tiny_model)
    made = run("quantize", tiny_model, "--json", data=tiny_data, out=tmp_path / "integer")
    assert made.exit_code == 0, made.stderr
    shown = describe(tmp_path / "integer")["accuracy"]
    data = as_dataset(str(tiny_data))
    assert list(shown) == ["finetuned", "integer"]
    assert shown["finetuned"] == accuracy(model.graph, data.x_test, data.y_test, data.input_scale)
    assert json.loads(made.stdout)["accuracy"] == shown
    again = run("quantize", tmp_path / "integer", "--json", data=tiny_data, out=tmp_path / "again")
    assert json.loads(again.stdout)["accuracy"] == {"integer": shown["integer"]}
