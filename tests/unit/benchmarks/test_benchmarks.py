"""The benchmark scripts start, explain themselves, and their README says what their results say."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from hwprm.config.recipes import load_recipe, recipe_names

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"
HELPERS = {
    "common",
    "fuzz_cases",
    "masks",
    "networks",
    "repro_tables",
    "resources_draw",
    "scale_sim",
    "staged_plan",
    "summary_rows",
}
HELPERS |= {"fuzz_files_cases", "mutation_beside", "mutation_bundles", "mutation_proof", "mutation_sites"}
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.py")} - HELPERS)


@pytest.fixture
def load(monkeypatch):
    """Imports a file of benchmarks/ as running it would."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in HELPERS | set(SCRIPTS):
        sys.modules.pop(name, None)


def test_there_is_one_for_every_question():
    known = {
        "accuracy",
        "cycles",
        "demo",
        "emission",
        "irregular",
        "mnist_rtl",
        "scale",
        "simulation_speed",
        "training",
    }
    assert known <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_explains_itself(name, load, monkeypatch, capsys):
    script = load(name)
    assert all(word in script.__doc__ for word in ("What:", "How:", "Target:"))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 0
    assert script.__doc__.splitlines()[0] in capsys.readouterr().out


def test_readme_lists_every_script():
    text = (FOLDER / "README.md").read_text()
    assert all(f"benchmarks/{name}.py" in text for name in SCRIPTS)


def test_tables_show_the_results(load):
    for file, text in load("summary").written().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run python benchmarks/summary.py"


def test_every_row_that_needs_no_gpu_was_run():
    facts = json.loads((FOLDER / "results" / "repro.json").read_text())
    needed = [name for name in recipe_names() if not load_recipe(name).gpu]
    assert [row["row"] for row in facts["rows"] if not load_recipe(row["row"]).gpu] == needed


def test_results_tell_no_paths_and_no_dates():
    for path in (FOLDER / "results").glob("*.json"):
        text = path.read_text()
        assert "/home" not in text and "/tmp" not in text and "/work" not in text
        assert '"machine": "' in text


@pytest.mark.parametrize(
    ("filters", "columns", "pixels", "expected"),
    [
        (5, 25, 576, {"ws": 2392, "is": 7776, "os": 2808}),
        (10, 125, 64, {"ws": 2752, "is": 4096, "os": 2224}),
        (40, 160, 1, {"ws": 2300, "is": 1240, "os": 870}),
        (10, 40, 1, {"ws": 230, "is": 160, "os": 108}),
    ],
)
def test_closed_form_is_within_a_cycle_of_the_simulator_it_stands_for(load, filters, columns, pixels, expected):
    layer = SimpleNamespace(filters=filters, columns=columns, pixels=pixels, window=1)
    found = load("scale_sim").dataflows(layer, 8, 8)
    assert found == {flow: cycles - 1 for flow, cycles in expected.items()}


def test_random_mask_has_the_default_budgets_and_reads_only_what_is_made(load):
    report = load("cycles").compile_network(load("networks").pruned_lenet5(), load("cycles").ArrayConfig()).cycles
    assert [(layer.filters, layer.columns) for layer in report.layers] == [(10, 20), (20, 125), (50, 150), (10, 50)]


def test_masks_of_the_irregular_convolution(load):
    script = load("irregular")
    counts = {}
    for _, pruning, net, _ in script._convolutions():
        kernels = (net.layers[0].terms[0].weight != 0).reshape(script.WIDTH, script.WIDTH, 9)
        counts[pruning] = int(kernels.sum())
        if pruning == "patterns":
            taps = {tuple(map(int, script.np.flatnonzero(kernel))) for kernel in kernels.reshape(-1, 9)}
            assert all(any(set(found) <= set(shape) for shape in script.PATTERNS) for found in taps)
            assert (kernels.any(axis=2).sum(axis=1) == script.KERNELS).all()
        if pruning == "structured":
            assert kernels.any(axis=0).sum() * script.WIDTH >= kernels.sum()
    assert max(counts.values()) == script.WIDTH * script.KERNELS * 4
    assert min(counts.values()) > 0.97 * max(counts.values()), "a few weights round to zero"


def test_measure_counts_and_fails_with_its_child(load):
    common = load("common")
    usage, text = common.measure([sys.executable, "-c", "print('x' * 3, flush=True); bytearray(64 << 20)"])
    assert text == "xxx\n" and usage.peak_mib > 64 and usage.cpu_seconds > 0
    with pytest.raises(common.subprocess.CalledProcessError):
        common.measure([sys.executable, "-c", "raise SystemExit(3)"])


def test_training_is_measured_against_the_loop(load):
    script = load("training")
    loop = [{"weights": 9, "cpu": cpu, "wall": 2.0, "peak_mib": 300.0} for cpu in (1.0, 2.0, 4.0)]
    slow = [one | {"cpu": one["cpu"] * factor} for one, factor in zip(loop, (1.0, 1.2, 1.2), strict=True)]
    large = [one | {"peak_mib": 400.0} for one in loop]
    found = {"loop": loop, "dense": slow, "admm": large, "masked": loop, "compact 1": loop, "compact 0.5": loop}
    found |= {"images": slow, "images, copies": loop}
    rows = [script._row(kind, one, loop) for kind, one in found.items()]
    script._judge(rows, script.NETS["lenet5"])
    assert [(row["cpu_ratio"], row["memory_ratio"]) for row in rows[:3]] == [(1, 1), (1.2, 1), (1, 1.333)]
    # A compact network that is no faster than the larger one before it misses its target too. Augmentation has a target
    # in the way that the recipes use it: copies here, but for CIFAR images made at every step.
    assert [row["met"] for row in rows] == [True, False, False, True, True, False, None, True]
    script._judge(rows, script.NETS["resnet18"])
    assert [row["met"] for row in rows[-2:]] == [False, None]
    facts = {"target": {"seconds": 1.1, "memory": 1.3}, "networks": [{"net": "net", "rows": rows}]}
    table = load("summary_rows").training(facts)
    assert [row[3] for row in table] == ["", "MISSED", "MISSED", "met", "met", "MISSED", "MISSED", ""]


def test_training_measures_an_epoch_of_each_kind(load, tmp_path, monkeypatch):
    from hwprm.pruning.shrinking.hooks import ShrinkHooks

    removed: list[tuple[int, ...]] = []
    monkeypatch.setattr(ShrinkHooks, "_remove", lambda hooks, allowed: removed.append(allowed))
    script = load("training")
    net = script.NETS["lenet5"]
    script._store_graphs(net, tmp_path)
    kinds = ("loop", *script.STAGES, "compact 0.25", "images", "images, copies")
    found = {kind: script._one(net, kind, 64, 1, tmp_path) for kind in kinds}
    assert {found[kind]["weights"] for kind in ("loop", *script.STAGES)} == {430_500}
    # One batch an epoch, one epoch before the one that is measured.
    assert removed == [(int(430_500 / 1.45),), (int(430_500 / 1.45**2),)] and "shrink" in net.kinds
    assert found["compact 0.25"]["weights"] < 430_500 / 12
    assert all(entry["cpu"] > 0 and entry["wall"] > 0 for entry in found.values())


def test_markdown_cells(load):
    made = load("common").markdown(("a", "b"), [(1234567, None), (0.12345, True), ("x", 12.34)])
    assert made.splitlines() == ["| a | b |", "|---|---|", "| 1,234,567 | - |", "| 0.12 | yes |", "| x | 12.3 |"]


def test_results_of_another_recipe_are_named_and_left_out(load, tmp_path, capsys):
    bench = load("repro")
    recipe = bench.load_recipe("lenet5-conv-232x")
    args = SimpleNamespace(out=tmp_path)
    for seed, digest in ((0, recipe.digest()), (1, "0" * 64)):
        place = tmp_path / recipe.name / f"seed-{seed}"
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps({"recipe": digest, "seed": seed}))
    found = [bench._finished(args, recipe, seed) for seed in (0, 1, 2)]
    assert [len(results) for results in found] == [1, 0, 0]
    said = "".join(capsys.readouterr())
    assert "lenet5-conv-232x, seed 1: left out" in said and "seed 2" not in said


def test_a_recipe_of_ones_own_is_in_the_table(load, tmp_path, monkeypatch, capsys):
    """The table says how a row was made, which is in its recipe, wherever that lies."""
    bench = load("repro")
    own = tmp_path / "mine.toml"
    text = (FOLDER.parent / "examples/recipes/lenet5-conv-232x.toml").read_text()
    own.write_text(text.replace("epochs = 60", "epochs = 3"))
    recipe = bench.load_recipe(str(own))
    results = json.loads((FOLDER / "results/repro.json").read_text())["rows"]
    seed = next(row for row in results if row["row"] == "lenet5-conv-232x")["seeds"][0]
    place = tmp_path / "out" / recipe.name / "seed-0"
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps(seed | {"recipe": recipe.digest(), "row": recipe.name}))
    words = ["repro.py", str(own), "--collect", "--seeds", "0", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*words, "--results", str(tmp_path)])
    bench.main()
    assert "| `mine` | convolutions | shrinking, P-RM, fine-tuning | yes |" in capsys.readouterr().out
    assert json.loads((tmp_path / "repro.json").read_text())["rows"] == [], "results are of the rows that there are"


def test_gathered_rows_take_the_place_of_theirs(load, tmp_path):
    """What is gathered on one machine does not take away what another one has run."""
    bench, file = load("repro"), tmp_path / "repro.json"
    old = [{"row": "a", "seeds": 1}, {"row": "c", "seeds": 1}]
    new = [{"row": "b", "seeds": 3}, {"row": "a", "seeds": 3}]
    assert bench.merged(new, file) == [new[1], new[0]]
    file.write_text(json.dumps({"rows": old}))
    assert bench.merged(new, file) == [new[1], new[0], old[1]]


def test_methods_that_were_not_run_here_stay(load, tmp_path, monkeypatch, capsys):
    bench = load("methods")
    shutil.copy(FOLDER / "results/methods.json", tmp_path)
    before = json.loads((tmp_path / "methods.json").read_text())
    words = ["methods.py", "--collect", "--out", str(tmp_path / "nothing"), "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    assert json.loads((tmp_path / "methods.json").read_text()) == before


@pytest.mark.parametrize(
    ("low", "high", "affine", "expected"),
    [
        (0.0, 255.0, False, [0.0, 0.0, 100.0, 255.0, 255.0]),
        (-100.0, 254.0, False, [-40.0, 0.0, 100.0, 254.0, 254.0]),
        (-100.0, 155.0, True, [-40.0, 0.0, 100.0, 155.0, 155.0]),
    ],
)
def test_fake_quantisation_of_activations(load, low, high, affine, expected):
    made = load("noise").rounded(torch.tensor([-40.4, -0.3, 100.2, 254.9, 300.0]), low, high, affine)
    assert made.tolist() == expected


def test_fake_quantisation_rounds_what_is_stored_and_every_filter_by_itself(load):
    noise, nn = load("noise"), torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.n, self.b = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            y = torch.relu(self.n(self.a(x)))
            return torch.sigmoid(self.b(y) + y).flatten(1) * torch.ones(2)

    net = Net().eval()
    with torch.no_grad():
        net.a.weight.copy_(torch.tensor([1.0, 1e-3])[:, None, None, None])
        net.b.weight.copy_(torch.tensor([[1.274, 0.014], [1.27e-4, -0.5e-4]])[:, :, None, None])
    exported = torch.export.export(net, (torch.rand(2, 1, 1, 1),)).module()
    run = noise.FakeQuantised(exported, "stored")
    assert run.stored == {"relu", "conv2d_1", "add", "sigmoid"}, (
        "neither in front of a ReLU, nor a view, nor what leaves"
    )
    assert noise.FakeQuantised(exported, "read").stored == set()
    whole = noise._whole(net.b.weight.detach()).flatten().tolist()
    assert whole == pytest.approx([1.274, 1.274 / 127, 1.27e-4, -0.5e-4])
    x = torch.tensor([0.3, 0.9]).reshape(2, 1, 1, 1)
    with torch.no_grad():
        assert torch.equal(run.run(x), net(x)), "while it calibrates it rounds nothing"
        run.calibrating = False
        assert not torch.equal(run.run(x), net(x)) and torch.allclose(run.run(x), net(x), atol=0.05)


def test_batch_norms_settle_on_the_images_and_none_stays_silent(load):
    norm = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.zero_()
    net = torch.nn.Sequential(norm).eval()
    x = torch.from_numpy(load("noise").patches(32, (3, 8, 8))).float() / 255
    load("noise").settle(net, x)
    made = net(x)
    assert not norm.training and made.mean((0, 2, 3)).abs().max() < 1e-4
    assert (made.var((0, 2, 3)) - 1).abs().max() < 0.1, "means of the variances of two batches"
