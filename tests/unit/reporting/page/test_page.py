"""The page: what it says of a run, a bundle, a model and an integer network; and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hwprm import api
from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.errors import InputError
from hwprm.emission import emit_bundle
from hwprm.graph import Concat, Graph, Node
from hwprm.intnet import Residual, Term
from hwprm.model import Model, Stage
from hwprm.reporting.page import write_page
from hwprm.reporting.page.content import gather
from hwprm.reporting.page.network import graph_steps, integer_steps, network_part
from hwprm.reporting.page.verification import read_results
from hwprm.verification import write_junit
from tests.conftest import Run, tiny_graph
from tests.support.builds import branched_graph, verified
from tests.support.networks import Spec, network, small_lenet

FLOAT = ["network", "matrices", "compression", "removals", "accuracy", "training", "residuals"]
ALL = [*FLOAT, "quality", "confusion", "cycles", "memory", "rom", "verification", "proof", "run"]
#: Elements without an end tag.
VOID = frozenset({"meta", "link", "br", "img"})


class Reader(HTMLParser):
    """Sections, tables and text of a page; every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "section":
            self.sections.append(str(values["id"]))
        self.links += [str(value) for key, value in attrs if key in ("href", "src", "srcset", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG that holds nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _page(folder: Path, place: Path) -> Reader:
    write_page(folder, place / "page.html")
    return Reader((place / "page.html").read_text())


def test_run(finished: Path, tmp_path: Path) -> None:
    page = _page(finished, tmp_path)
    assert page.sections == ALL
    facts = json.loads((finished / "report.json").read_text())
    cycles, verify = facts["cycles"], facts["verify"]
    for row in cycles["layers"]:
        assert f"{row['name']} {row['predicted']:,} {row['simulated']:,} {row['promise']:,}" in page.text
    assert f"{cycles['dense']['image'] / cycles['predicted']:.1f}× faster" in page.text
    assert f"Mismatches 0 of {verify['values_compared']:,} integers, 30 images" in page.text
    assert "verilator, protocol 5 0 500 0" in page.text, "one line per suite"
    for row in facts["waterfall"]:
        for count in ("conv_only", "all_weights", "stored_bits"):
            assert f"{row[count]['left']:,} {row[count]['ratio']:.2f}×" in page.text
    took = facts["removals"][0]
    assert f"Th1 {took['layer']} columns {took['count']} {took['weights']}" in page.text
    assert "Integer 91.25 −1.25 −3.75" in page.text
    for rom in Bundle.load(finished / "bundle").manifest.roms:
        assert f"{rom.name} {rom.width * rom.depth:,} bits" in page.text
    assert "verify.seed 1" in page.text


def test_shapes_before_and_after(finished: Path, tmp_path: Path) -> None:
    text = _page(finished, tmp_path).text
    assert "stem conv 3×3 · ReLU 6×8×8 → 5×8×8" in text
    assert "sum sum · ReLU · max pool 2×2 ← branch, stem 6×4×4 → 5×4×4" in text
    assert "fc linear 3" in text


def test_bundle_with_results_beside_it(finished: Path, tmp_path: Path) -> None:
    page = _page(finished / "bundle", tmp_path)
    assert page.sections == ["network", "matrices", "cycles", "memory", "rom", "verification", "proof"]
    assert "sum sum · ReLU · max pool 2×2 ← branch, stem_copy 5×4×4" in page.text
    assert "summand" not in page.text, "factors are no matrices"
    facts = json.loads((finished / "report.json").read_text())
    assert f"Mismatches 0 of {facts['verify']['values_compared']:,} integers" in page.text
    passes = "remove_unneeded, spread_gates, split_pools, order_filters, split_remainders; 8 images"
    assert f"Compiler passes that changed no integer {passes}" in page.text
    assert "References in torch and numpy equal 4 images" in page.text
    for row in facts["cycles"]["layers"]:
        assert f"{row['name']} {row['predicted']:,} {row['simulated']:,} {row['promise']:,}" in page.text


def test_bundle_alone(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "bundle", tmp_path / "bundle")
    page = _page(tmp_path / "bundle", tmp_path)
    assert page.sections == ["network", "matrices", "cycles", "memory", "rom", "proof"]
    assert "Mismatches" not in page.text


def test_results_of_another_design_are_not_shown(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "bundle", tmp_path / "bundle")
    text = (finished / "junit.xml").read_text()
    own = Bundle.load(finished / "bundle").manifest.design_hash
    (tmp_path / "junit.xml").write_text(text.replace(own, "0" * 64))
    assert gather(tmp_path / "bundle").results is None
    (tmp_path / "junit.xml").write_text(text[:-20])
    with pytest.raises(InputError, match=r"junit\.xml cannot be read .*; verify the bundle again"):
        gather(tmp_path / "bundle")


def test_failures_are_told(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "bundle", tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    write_junit(verified(bundle, "layer 'fc': expected <3>, got 4"), tmp_path / "junit.xml")
    page = _page(tmp_path / "bundle", tmp_path)
    assert "NOT equal" in page.text
    assert "verilator bulk images 0: layer 'fc': expected <3>, got 4" in page.text
    assert "Mismatches 1 of" in page.text
    silent = replace(verified(bundle), cases=(replace(verified(bundle).cases[0], failure="the session hangs"),))
    write_junit(silent, tmp_path / "junit.xml")
    assert "Mismatches failed of 100 integers" in _page(tmp_path / "bundle", tmp_path).text


def test_results_are_read_as_they_were_written(finished: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(finished / "bundle")
    report = verified(bundle, "wrong")
    write_junit(report, tmp_path / "junit.xml")
    found = read_results(tmp_path / "junit.xml", report.design_hash)
    assert found is not None
    facts = found.facts()
    assert (facts["values_compared"], facts["mismatches"]) == (report.values_compared, report.mismatches)
    assert (facts["simulator"], facts["images"], facts["seed"], facts["ok"]) == ("verilator 5.48", 30, 1, False)
    assert found.cycles == report.cycles_simulated
    assert found.layer_cycles == dict(report.layer_cycles_simulated)
    assert read_results(tmp_path / "absent.xml", report.design_hash) is None


@pytest.mark.parametrize("stage", ["train", "admm", "purify", "compact"])
def test_model(finished: Path, tmp_path: Path, stage: str) -> None:
    page = _page(finished / "stages" / stage, tmp_path)
    assert page.sections[:2] == ["network", "matrices"]
    assert ("compression" in page.sections) == (stage != "train")
    assert ("residuals" in page.sections) == (stage != "train")


def test_integer_network(tmp_path: Path) -> None:
    small_lenet().save(tmp_path / "net")
    page = _page(tmp_path / "net", tmp_path)
    assert page.sections == ["network", "matrices"]
    assert "conv1 conv 3×3 · ReLU · max pool 2×2 3×6×6" in page.text


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    graph = tiny_graph()
    model = Model(graph=graph, stage=Stage.DENSE, meta={"name": "<script>alert(1)</script>&"})
    model.save(tmp_path / "model")
    page = _page(tmp_path / "model", tmp_path)
    assert "<script>alert(1)</script>&" in page.text
    assert "<script" not in (tmp_path / "page.html").read_text()


def test_same_input_same_bytes_and_nothing_from_outside(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "elsewhere")
    write_page(finished, tmp_path / "one.html")
    write_page(tmp_path / "elsewhere", tmp_path / "two.html")
    text = (tmp_path / "one.html").read_text()
    assert text == (tmp_path / "two.html").read_text()
    assert str(finished) not in text
    assert all(link.startswith(("#", "data:")) for link in Reader(text).links)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert len(text) < 100_000


def test_steps_of_a_graph() -> None:
    steps = graph_steps(branched_graph())
    assert [step.name for step in steps] == ["image", "stem", "branch", "sum", "fc"]
    assert [step.inputs for step in steps] == [(), (0,), (1,), (2, 1), (3,)]
    assert steps[3].before == (6, 4, 4), "the flatten behind it only relabels"


def test_a_step_that_is_gone_is_told() -> None:
    graph = branched_graph()
    nodes: list[Node] = [node for node in graph.nodes if node.name not in ("branch", "sum")]
    nodes = [replace(node, inputs=("relu1",)) if node.name == "relu2" else node for node in nodes]
    part = network_part(graph_steps(graph, Graph(tuple(nodes), graph.outputs)), pruned=True)
    assert [row.name for row in part.rows if row.removed] == ["branch"]


def test_integer_steps_of_a_concatenation(tmp_path: Path) -> None:
    graph = branched_graph()
    changed = Concat(name="sum", inputs=("branch", "relu1"))
    assert graph_steps(Graph((*graph.nodes[:4], changed), ("sum",)))[-1].what == "concatenation"
    assert [step.inputs for step in integer_steps(small_lenet())] == [(), (0,), (1,), (2,), (3,)]


def test_integer_steps_of_a_residual() -> None:
    one = np.ones((2, 1, 1, 1), np.int64)
    residual = Residual(source="a", channel=np.arange(2), mult=np.ones(2, np.int64))
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=one),)),
        Spec(name="b", terms=(Term(source="image", weight=one),), residual=residual),
        Spec(name="c", terms=(Term(source="b", weight=one.reshape(1, 2, 1, 1)),), relu=False, wide=True),
    )
    steps = integer_steps(network((1, 2, 2), layers))
    assert [step.inputs for step in steps] == [(), (0,), (0, 1), (2,)]
    assert [step.what for step in steps[2:]] == ["conv 1×1 · + a · ReLU", "conv 1×1"]
    assert [step.kind for step in steps[1:3]] == ["weighted", "joined"]


def test_verb(finished: Path, tmp_path: Path, run: Run) -> None:
    result = run("report", finished, html=tmp_path / "deep" / "page.html")
    assert result.exit_code == 0, result.output
    assert f"result: {tmp_path / 'deep' / 'page.html'}" in result.stderr.replace("\n", "")
    assert "Clock cycles per image" in result.stdout
    assert Reader((tmp_path / "deep" / "page.html").read_text()).sections == ALL
    facts = run("report", finished, "--json", html=tmp_path / "again.html")
    assert json.loads(facts.stdout) == api.report(finished)


def test_nothing_to_report(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    result = run("report", tmp_path / "empty", html=tmp_path / "page.html")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "holds no run, model, integer network, bundle, widths, silicon or study" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_a_target_that_cannot_be_written(finished: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path, tmp_path / "file" / "page.html"):
        result = run("report", finished, html=target)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "cannot write" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bundle_with_its_program_outside(tmp_path: Path) -> None:
    program = compile_network(small_lenet(), ArrayConfig(rows=4, cols=3, weights="axi"))
    bundle = emit_bundle(program, random_images(1, program.network.image_limits, seed=0), None, tmp_path / "bundle")
    page = _page(bundle.folder, tmp_path)
    assert page.sections == ["network", "matrices", "cycles", "memory", "rom", "proof"]
    assert f"{sum(program.onchip.values()):,} bits on the chip" in page.text
    assert program.external is not None
    assert f"{program.external.bytes:,} bytes of external memory" in page.text
