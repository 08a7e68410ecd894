"""Plans: exported and read without the class, put onto another network, and refused where they do not belong."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

import hwprm
from hwprm.core.errors import InputError, ModelError
from hwprm.frontend import to_graph
from hwprm.graph import evaluate
from hwprm.model import Model, Stage
from hwprm.model.plan import LayerPlan, Plan, load_export
from hwprm.pruning.compaction.compaction import compact
from hwprm.pruning.compaction.planned import mask_module
from hwprm.sources import as_plan
from tests.conftest import Run, tiny_graph


class _Net(nn.Module):
    """A branch that goes, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.side = nn.Conv2d(6, 6, 1)
        self.fc = nn.Linear(6 * 64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        out: torch.Tensor = self.fc((x + self.side(x)).flatten(1))
        return out


def _net(seed: int = 0) -> _Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _Net().eval()


def _pruned() -> Model:
    """`_net` with filters 1 and 4 of conv gone, taps too, and the side branch silent."""
    net = _net()
    with torch.no_grad():
        net.conv.weight[[1, 4]] = 0
        net.conv.weight[:, :, 0, 2] = 0
        net.conv.bias[[1, 4]] = 0
        net.norm.bias[[1, 4]] = 0
        net.side.weight.zero_()
        net.side.bias.zero_()
    return Model(graph=to_graph(net, (1, 8, 8)), stage=Stage.ADMM, meta={"name": "mine", "log": [1, 2]})


@pytest.fixture(scope="module")
def masked() -> Model:
    return _pruned()


@pytest.fixture(scope="module")
def small(masked: Model) -> Model:
    return compact(masked)


@pytest.fixture
def exported(small: Model, tmp_path: Path) -> Path:
    hwprm.export(small, out=tmp_path / "exported")
    return tmp_path / "exported"


ROWS, COLS = (0, 2, 3, 5), (0, 1, 3, 4, 5, 6, 7, 8)
PIXELS = tuple(channel * 64 + pixel for channel in ROWS for pixel in range(64))


def test_plans_of_masked_and_compact_models(masked: Model, small: Model) -> None:
    conv, fc = (
        LayerPlan(shape=(6, 1, 3, 3), rows=ROWS, cols=COLS),
        LayerPlan(shape=(3, 384), rows=(0, 1, 2), cols=PIXELS),
    )
    side = LayerPlan(shape=(6, 6, 1, 1), rows=(), cols=())
    assert Plan.of(small) == Plan(network="mine", layers={"conv": conv, "side": side, "fc": fc})
    loose = Plan.of(masked)
    assert (loose.layers["conv"], loose.layers["side"]) == (conv, side)
    assert loose.layers["fc"].cols == tuple(range(384)), "nobody looked yet who reads what"
    dense = Plan.of(Model(graph=tiny_graph(), stage=Stage.DENSE))
    assert dense.layers["conv"] == LayerPlan(shape=(4, 1, 3, 3), rows=(0, 1, 2, 3), cols=tuple(range(9)))


def test_a_layer_that_is_gone_has_no_stale_plan(masked: Model) -> None:
    everything = {name: {"rows": [0], "cols": [0]} for name in ("conv", "side", "fc")}
    small = compact(replace(masked, meta={"plan": everything}))
    assert Plan.of(small).layers["side"] == LayerPlan(shape=(6, 6, 1, 1), rows=(), cols=())


def test_export_is_two_files_that_are_read_as_a_model(exported: Path, small: Model) -> None:
    assert sorted(path.name for path in exported.iterdir()) == ["plan.json", "weights.safetensors"]
    loaded = load_export(exported)
    assert (loaded.stage, loaded.meta["name"]) == (Stage.COMPACT, "mine")
    assert "log" not in loaded.meta
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    np.testing.assert_array_equal(*(evaluate(m.graph, x)[m.graph.outputs[0]] for m in (loaded, small)))
    assert Plan.of(loaded) == Plan.of(small) == Plan.load(exported) == Plan.load(exported / "plan.json")
    for source in (exported, str(exported / "plan.json"), small, Plan.of(small)):
        assert as_plan(source) == Plan.of(small)


def test_export_needs_no_torch_and_no_hwprm(exported: Path, small: Model) -> None:
    code = (
        "import json, sys; from pathlib import Path; from safetensors.numpy import load_file\n"
        "from hwprm.model.plan import load_export; load_export(Path(sys.argv[1])); assert 'torch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(exported)], check=False).returncode == 0
    plan = json.loads((exported / "plan.json").read_text())
    arrays = load_file(exported / "weights.safetensors")
    assert plan["format"] == "hwprm-plan-1" and plan["stage"] == "compact" and plan["network"] == "mine"
    # What the documentation says, read by hand: the matrix of the original, zero where nothing was kept.
    layer = plan["layers"]["conv"]
    whole = np.zeros((layer["shape"][0], int(np.prod(layer["shape"][1:]))), np.float32)
    kept = arrays["conv.weight"].reshape(len(layer["rows"]), -1)
    whole[np.ix_(layer["rows"], range(whole.shape[1]))] = kept
    np.testing.assert_array_equal(np.flatnonzero(whole.any(axis=0)), layer["cols"])
    assert [node["op"] for node in plan["graph"]["nodes"]][:2] == ["Input", "Conv2d"]


def test_verbs_take_exported_folders(exported: Path, tmp_path: Path, tiny_data: Path, run: Run) -> None:
    shown = run("report", exported, "--json")
    assert json.loads(shown.stdout)["layers"]["conv"] == [4, 1, 3, 3]
    made = run("quantize", exported, data=tiny_data, out=tmp_path / "integer")
    assert made.exit_code == 0, made.stderr
    again = run("export", exported, out=tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    for name in ("plan.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()
    full = run("export", exported, out=tmp_path / "again")
    assert full.exit_code == 2 and "is not empty" in full.stderr
    page = run("report", exported, html=tmp_path / "page.html")
    assert page.exit_code == 0, page.stderr


def test_plan_on_a_module_of_ones_own(small: Model) -> None:
    net = _net(7)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    masked = hwprm.apply_plan(net, Plan.of(small))
    assert isinstance(masked, _Net)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    for name, layer in Plan.of(small).layers.items():
        part = masked.get_submodule(name)
        matrix = part.weight.detach().reshape(layer.shape[0], -1).numpy()
        mask = np.zeros(matrix.shape, bool)
        mask[np.ix_(layer.rows, layer.cols)] = True
        np.testing.assert_array_equal(matrix, np.where(mask, before[f"{name}.weight"].reshape(matrix.shape), 0))
        rows = np.isin(np.arange(layer.shape[0]), layer.rows)
        np.testing.assert_array_equal(part.bias.detach(), np.where(rows, before[f"{name}.bias"], 0))
    assert torch.equal(masked.norm.weight, net.norm.weight)


def test_plan_on_a_model_gives_the_same_and_prunes_to_the_plan(small: Model, tmp_path: Path) -> None:
    net = _net(7)
    model = Model(graph=to_graph(net, (1, 8, 8)), stage=Stage.DENSE)
    masked = hwprm.apply_plan(model, small)
    assert isinstance(masked, Model) and masked.stage is Stage.ADMM
    other = to_graph(mask_module(net, Plan.of(small)), (1, 8, 8))
    for layer, twin in zip(masked.graph.weighted, other.weighted, strict=True):
        np.testing.assert_array_equal(layer.weight, twin.weight)
        np.testing.assert_array_equal(layer.bias, twin.bias)
    assert Plan.of(compact(masked)).layers == Plan.of(small).layers
    model.save(tmp_path / "m")
    from_folder = hwprm.apply_plan(tmp_path / "m", small)
    assert isinstance(from_folder, Model) and from_folder.stage is Stage.ADMM


def _sparse() -> Model:
    """`_pruned` with single weights gone too: two of three in conv, half of fc."""
    model = _pruned()
    conv, _, fc = model.graph.weighted
    rng = np.random.default_rng(5)
    thin = [replace(layer, weight=layer.weight * (rng.random(layer.weight.shape) < 0.4)) for layer in (conv, fc)]
    return replace(model, graph=model.graph.replace(*thin))


def _weight(model: Model, layer: str) -> Any:
    return next(one.weight for one in model.graph.weighted if one.name == layer)


def test_single_weights_are_part_of_the_plan(tmp_path: Path) -> None:
    sparse = _sparse()
    compacted = compact(sparse)
    hwprm.export(compacted, out=tmp_path / "exported")
    other = Model(graph=to_graph(_net(7), (1, 8, 8)), stage=Stage.DENSE)
    exported = load_export(tmp_path / "exported")
    for plan in (compacted, Plan.of(exported), tmp_path / "exported"):
        masked = hwprm.apply_plan(other, plan)
        assert isinstance(masked, Model)
        for left in compacted.graph.weighted:
            assert np.count_nonzero(_weight(masked, left.name)) == np.count_nonzero(left.weight), left.name
        assert not _weight(masked, "side").any()
    # What the documentation says, read by hand.
    entry = json.loads((tmp_path / "exported" / "plan.json").read_text())["layers"]["conv"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(entry["mask"]), np.uint8))
    matrix = sparse.graph.weighted[0].weight.reshape(6, 9)[np.ix_(entry["rows"], entry["cols"])]
    np.testing.assert_array_equal(bits[: matrix.size], matrix.ravel() != 0)
    net = hwprm.apply_plan(_net(7), sparse)
    assert isinstance(net, _Net)
    np.testing.assert_array_equal(net.conv.weight.detach() != 0, sparse.graph.weighted[0].weight != 0)


def test_compact_models_of_older_versions_that_lost_single_weights(small: Model) -> None:
    def old(model: Model) -> Model:
        plan = {name: {key: entry[key] for key in ("rows", "cols")} for name, entry in model.meta["plan"].items()}
        return replace(model, meta=model.meta | {"plan": plan})

    assert Plan.of(old(small)) == Plan.of(small)
    with pytest.raises(ModelError, match=r"^the compact model does not say which single weights 'conv' kept, an older"):
        Plan.of(old(compact(_sparse())))


def _belongs(network: nn.Module | Model, plan: Plan, words: str) -> None:
    end = "; give the network, not compacted, that the plan was made for"
    with pytest.raises(ModelError, match=f"^the plan of 'mine' belongs to another network: {re.escape(words + end)}$"):
        hwprm.apply_plan(network, plan)


def test_plans_of_other_networks(small: Model) -> None:
    plan = Plan.of(small)
    other = _net()
    other.side = nn.Conv2d(6, 6, 3, padding=1)
    _belongs(other, plan, "weights of another shape: side is (6, 6, 3, 3) for (6, 6, 1, 1)")
    other.head = nn.Linear(3, 3)
    del other.fc
    words = (
        "layers that only the plan has: fc; layers that only the network has: head; "
        "weights of another shape: side is (6, 6, 3, 3) for (6, 6, 1, 1)"
    )
    _belongs(other, plan, words)
    words = (
        "layers that only the plan has: side; "
        "weights of another shape: conv is (4, 1, 3, 3) for (6, 1, 3, 3), fc is (3, 256) for (3, 384)"
    )
    _belongs(small, plan, words)


def test_weights_that_cannot_be_set(small: Model) -> None:
    net = _net()
    nn.utils.parametrizations.weight_norm(net.side)
    words = r"^the weight of 'side' is computed from other tensors; make it a plain parameter$"
    with pytest.raises(ModelError, match=words):
        hwprm.apply_plan(net, Plan.of(small))


Edit = Callable[[dict[str, Any]], object]
MEND = "; copy the folder again, or export the model again with `hwprm export`"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda p: p.update(format="hwprm-plan-9"), "format 'hwprm-plan-9', this version reads 'hwprm-plan-1'"),
        (lambda p: p["layers"]["conv"].update(rows=[0, 6]), "conv: row 6 is outside 0..5, of a weight of shape [6, 1"),
        (lambda p: p["layers"]["conv"].update(rows=[-1, 0]), "conv: row -1 is outside 0..5"),
        (lambda p: p["layers"]["conv"].update(cols=[1.5]), "conv: column 1.5 is outside 0..8"),
        (lambda p: p["layers"]["fc"].update(cols=[384]), "fc: column 384 is outside 0..383"),
        (lambda p: p["layers"]["fc"].update(cols=[3, 3]), "fc: its columns are not in ascending order, each once"),
        (lambda p: p["layers"]["fc"].update(shape=[3]), "fc: the shape [3] is none of a weight; give (M, C, KH, KW)"),
        (lambda p: p["layers"]["fc"].update(mask="AA=="), "fc: its mask is none of 3 x 256 bits in base64"),
        (lambda p: p["layers"]["fc"].update(mask="é"), "fc: its mask is no base64 ("),
        (lambda p: p.pop("layers"), "is no readable plan ('layers')"),
        (lambda p: p["layers"]["fc"].pop("rows"), "is no readable plan ('rows')"),
        (lambda p: p["graph"]["nodes"][1].update(op="Conv9d"), "is no readable plan ("),
        (lambda p: p.update(stage="done"), "is no readable plan ("),
        (lambda p: p.update(graph=3), "is no readable plan ("),
        (lambda p: p["layers"]["conv"].update(rows=[0]), "its plan does not belong to its structure in layer 'conv'"),
        (lambda p: p["layers"].pop("conv"), "its plan does not belong to its structure in layer 'conv'"),
    ],
)
def test_plan_files_that_were_edited(exported: Path, edit: Edit, words: str) -> None:
    file = exported / "plan.json"
    plain = json.loads(file.read_text())
    edit(plain)
    file.write_text(json.dumps(plain))
    with pytest.raises(ModelError) as refusal:
        load_export(exported)
    text = str(refusal.value)
    assert text.startswith(str(file)) and words in text and text.endswith(MEND)


def test_plan_files_that_are_missing_or_cut(exported: Path) -> None:
    file = exported / "plan.json"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"plan\.json is no readable plan \(.*\); copy the folder again"):
        hwprm.apply_plan(_net(), exported)
    file.write_text("[]")
    with pytest.raises(ModelError, match=r"plan\.json is no readable plan"):
        Plan.load(file)
    with pytest.raises(ModelError, match=r"none\.json is no readable plan"):
        hwprm.apply_plan(_net(), exported / "none.json")


def _flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize("kind", ["model", "exported"])
@pytest.mark.parametrize("damage", ["edit", "cut", "remove"])
def test_weights_that_were_damaged(exported: Path, small: Model, tmp_path: Path, kind: str, damage: str) -> None:
    folder = exported
    if kind == "model":
        folder = tmp_path / "model"
        small.save(folder)
    file = folder / "weights.safetensors"
    if damage == "edit":
        _flip(file)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-4])
    else:
        file.unlink()
    lacks = f"{re.escape(str(folder))} lacks weights.safetensors"
    edited = f"{re.escape(str(file))} was edited, or cut short, after it was saved: its SHA-256 is not the one noted"
    with pytest.raises(ModelError, match=f"^{lacks if damage == 'remove' else edited}; copy the folder again, or "):
        hwprm.quantize(folder, "mnist")


def test_structure_that_was_edited(small: Model, tmp_path: Path) -> None:
    small.save(tmp_path)
    _flip(tmp_path / "graph.json")
    with pytest.raises(ModelError, match=r"graph\.json was edited, or cut short, after it was saved"):
        Model.load(tmp_path)


def test_folders_of_older_versions_are_read(small: Model, tmp_path: Path) -> None:
    small.save(tmp_path)
    plain = json.loads((tmp_path / "model.json").read_text())
    del plain["sha256"], plain["meta"]["shapes"]
    (tmp_path / "model.json").write_text(json.dumps(plain))
    old = Model.load(tmp_path)
    words = r"^the compact model does not say which shapes its matrices had, an older version made it; compact it again"
    with pytest.raises(ModelError, match=words):
        Plan.of(old)
    plain["sha256"] = 5
    (tmp_path / "model.json").write_text(json.dumps(plain))
    with pytest.raises(ModelError, match="holds no model"):
        Model.load(tmp_path)


def test_export_of_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no model"):
        hwprm.export(tmp_path / "empty", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        hwprm.export(Model(graph=tiny_graph(), stage=Stage.DENSE), out=tmp_path / "full")
