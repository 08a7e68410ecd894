"""The rows of the table of targets: for each benchmark, its results in a line."""

from __future__ import annotations

from typing import Any

from common import verdict

#: What is measured, the target, the figure, and the verdict.
Row = tuple[str, str, str, str]


def cycles(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["networks"]:
        same = "simulated the same" if e.get("simulated") == e["total"] else "not simulated"
        measured = f"{e['total']:,} cycles ({same}); {e['total'] / e['bound']:.2f} x the ideal bound {e['bound']:,.0f}"
        target = f"1.05 P + 64 a layer: {e['limit']:,.0f}"
        rows.append((f"cycles.py: {e['net']}, {e['rows']}x{e['cols']}", target, measured, verdict(e["met"])))
    ours = next(e for e in facts["networks"] if "5-10-40" in e["net"] and (e["rows"], e["cols"]) == (8, 8))
    peers = min(peer["cycles"] for peer in facts["peers"])
    target = "; ".join(f"{p['tool']}: {p['cycles']:,}" for p in facts["peers"])
    rows.append(("cycles.py: 5-10-40-10, 8x8, others", target, f"{ours['total']:,}", verdict(ours["total"] < peers)))
    return rows


def reference_cycles(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["networks"]:
        name = f"reference_cycles.py: {e['net']} {e['kind']}, {e['array']}"
        measured = f"{e['cycles']:,} cycles, {e['ratio']:.3f} x the ideal bound {e['bound']:,.0f}"
        measured += f"; SCALE-Sim's best dataflows {e['scale_sim']:,}"
        measured += f"; speed-up {e['gain']:.2f} x the reduction of multiplications" if e["gain"] else ""
        gain = ", speed-up at least 0.9 x the reduction" if e["gain"] else ""
        target = f"at most {e['target']:.2f} x the bound{gain}" if e["target"] else ""
        rows.append((name, target, measured, verdict(e["met"]) if target else ""))
    return rows


def fuzz(facts: dict[str, Any]) -> Row:
    measured = f"{facts['count']:,} networks ({facts['axi']} over AXI), {facts['layers']:,} layers, "
    measured += f"{facts['values']:,} values compared, {len(facts['failures'])} failures; {facts['seconds']:,} s"
    return ("fuzz.py: random networks", "no failure", measured, verdict(facts["met"]))


def fuzz_files(facts: dict[str, Any]) -> Row:
    measured = f"{facts['files']:,} files of {len(facts['rows'])} formats, {facts['failures']} failures"
    return ("fuzz_files.py: damaged files", facts["target"], measured, verdict(facts["met"]))


def mutation(facts: dict[str, Any]) -> Row:
    equal = f"{facts['proved']} proved to make no difference, {facts['equivalent']} by a reason"
    measured = f"{facts['found']} of {facts['mutants']} found, {equal}, {facts['missed']} missed: {facts['rate']:.1%}"
    return ("mutation.py: single faults", facts["target"], measured, verdict(facts["met"]))


def external(facts: dict[str, Any]) -> list[Row]:
    targets = {
        ("vgg16-cifar", 256, "1/2"): "stalls in less than 5 % of the cycles",
        ("linear", 128, "1"): "",
        ("linear", 256, "1"): "efficiency 0.95",
    }
    rows = []
    for row in facts["rows"]:
        key = (row["network"], row["bus bits"], row["beats per cycle"])
        target = "efficiency 0.95" if row["entry buffer"] != "by the compiler" else targets.get(key, "")
        name = f"external_memory.py: {row['network']}, 16x16, {key[1]} bits, {key[2]} beats per cycle"
        name += ", list kept" if row["entry buffer"] != "by the compiler" else ""
        measured = f"{row['stalls']:,} stalls beside {row['cycles']:,} cycles, efficiency {row['efficiency']}"
        rows.append((name, target, measured, verdict(facts["met"]) if target else ""))
    return rows


def emission(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["cases"]:
        limit = e["target"]
        parts = [f"{limit['wall_seconds']:g} s"] if limit["wall_seconds"] else []
        parts += [f"{limit['peak_bytes'] / 1e9:g} GB"] if limit["peak_bytes"] else []
        measured = f"{e['wall_seconds']:.1f} s wall, {e['cpu_seconds']:.1f} s CPU, {e['peak_mib']:.0f} MiB"
        target = " and ".join(parts)
        name = f"emission.py: {e['case']}, {e['weights']:,} weights"
        rows.append((name, target and f"under {target}", measured, verdict(e["met"]) if target else ""))
    return rows


def proof(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["cases"]:
        seconds = f"{e['proof_cpu_seconds']:.2f} s of {e['cpu_seconds']:.1f} s CPU"
        measured = f"{e['share']:.1%}: {seconds}, {e['samples']} sample images; {e['emit_peak_mib']} MiB"
        rows.append((f"proof.py: {e['case']}", f"below {facts['target']:.0%}", measured, verdict(e["met"])))
    return rows


def speed(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["networks"]:
        speed = e["cycles_per_cpu_second"]
        measured = f"{e['ratio']:.0%}: {speed['bulk']:,} of {speed['bare']:,} cycles per CPU second"
        name = f"simulation_speed.py: LeNet-5 {e['net']}, {e['array']}"
        rows.append((name, "at least 50 % of bare C++", measured, verdict(e["ratio"] >= 0.5)))
    return rows


def scale(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["rows"]:
        target, use = e["row"], e["usage"]
        where = " over AXI" if target["weights"] == "axi" else ""
        name = f"scale.py: {e['net']}{where}, {target['size']}x{target['size']}"
        limit = (
            f"under {target['emit_seconds']:g} s and {target['emit_bytes'] / 1e9:g} GB"
            if target["emit_seconds"]
            else ""
        )
        emit = f"{use['emit']['wall_seconds']:.0f} s wall, {use['emit']['cpu_seconds']:.0f} s CPU, "
        emit += f"{use['emit']['peak_mib']:.0f} MiB, {e['weights']:,} weights"
        rows.append((f"{name}: compile and emit", limit, emit, verdict(e["met"]) if limit else ""))
        limit = f"all equal in under {target['simulate_seconds']:g} s"
        wall = use["build"]["wall_seconds"] + use["simulate"]["wall_seconds"]
        cpu = use["build"]["cpu_seconds"] + use["simulate"]["cpu_seconds"]
        seconds = f"{wall:.0f} s wall, {cpu:.0f} s CPU to build and simulate"
        counted = f"{e['images']} images, {e['layers']} layers, {e['values_compared']:,} integers"
        cycles = f"{e['cycles_simulated']:,} cycles (predicted {e['cycles_predicted']:,})"
        cycles += f" and {e['memory_stalls']:,} stalls" if e["memory_stalls"] is not None else ""
        measured = f"{counted}, {e['mismatches']} mismatches; {cycles}; {seconds}"
        rows.append((f"{name}: simulation", limit, measured, verdict(e["met"])))
    return rows


def mnist(facts: dict[str, Any]) -> Row:
    measured = (
        f"{facts['images']:,} images, {facts['logits_compared']:,} logits, {facts['mismatches']} mismatches, "
        f"RTL accuracy {facts['rtl_accuracy_per_cent']:.2f} per cent (integer reference "
        f"{facts['integer_accuracy_per_cent']:.2f}), {facts['wall_seconds']:.0f} s wall"
    )
    return (f"mnist_rtl.py: LeNet-5 {facts['network']}", "all equal in under 600 s", measured, verdict(facts["met"]))


def accuracy(facts: dict[str, Any], name: str) -> list[Row]:
    stages = ", ".join(f"{stage} {value:.2f}" for stage, value in facts["accuracy_per_cent"].items())
    last = facts["waterfall"][-1]
    kinds = {"conv_only": "conv only", "all_weights": "all weights", "stored_bits": "stored bits"}
    left = ", ".join(f"{word} {last[key]['ratio']:.2f}x ({last[key]['left']:,})" for key, word in kinds.items())
    data = f"{facts['data']['name']}, {facts['data']['train']:,} training images"
    rows = [
        (f"{name}: per cent on the test split", "", f"{stages}; {facts['cpu_seconds_total']:.0f} s CPU; {data}", "")
    ]
    return [*rows, (f"{name}: compression", "", left, "")]


def repro(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["rows"]:
        reach, paper, seeds = e["reach"], e["paper"], e["seeds"]
        dense = sum(seed["accuracy"]["dense"] for seed in seeds) / len(seeds)
        small = f"{reach['cycles']:,} cycles" if reach.get("cycles") else f"{reach['compression']:g}x"
        target = f"{reach['accuracy']:.2f} per cent at {small}" if reach["accuracy"] else ""
        if reach["below_dense"] is not None:
            target = f"within {reach['below_dense']} of dense at {small}"
        parts = [f"{e['accuracy']['mean']:.2f} per cent at {e['compression']:.2f}x ({e['count'].replace('_', ' ')})"]
        parts += [f"{max(seed['cycles'] for seed in seeds):,} cycles"] if reach.get("cycles") else []
        parts += [f"{len(seeds)} seeds within {e['accuracy']['spread']:.2f}" if len(seeds) > 1 else "one seed"]
        parts += [f"dense {dense:.2f}"]
        parts += [f"paper {paper['accuracy']:.2f} at {paper['compression']:g}x"] if paper["accuracy"] else []
        parts += [f"{sum(sum(s['seconds'].values()) for s in seeds) / len(seeds):,.0f} s a seed"]
        good = "" if e["reached"] is None else verdict(e["reached"])
        rows.append((f"repro.py: {e['row']}, integer network", target, "; ".join(parts), good))
    return rows


def pruned_for_array(facts: dict[str, Any]) -> Row:
    parts = [f"{e['how']} {e['cycles']:,.0f} cycles, {e['accuracy']:.2f} per cent" for e in facts["rows"]]
    seeds = "one seed" if len(facts["seeds"]) == 1 else f"{len(facts['seeds'])} seeds"
    measured = f"{'; '.join(parts)}; {seeds}"
    return ("pruned_for_array.py: LeNet-5, what is counted", facts["target"], measured, verdict(facts["met"]))


def explored(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for name, points, wall, speed, target, good in facts["speed"]["rows"]:
        measured = f"{speed} points a second ({points} in {wall} s)"
        rows.append((f"explore.py: {name}, arrays", f"{target:g} points a second", measured, good))
    parts = [f"{how} {wall:.1f} s" for how, _, wall, _, _ in facts["workers"]["rows"]]
    rows.append(
        (
            "explore.py: workers, one killed",
            "same points and front",
            "; ".join(parts),
            verdict(facts["workers"]["good"]),
        )
    )
    if "joint" in facts:
        joint = facts["joint"]
        measured = f"{joint['points']} points in {joint['minutes']} minutes"
        rows.append(
            ("explore.py: joint search, LeNet-5", "within 30 minutes", measured, verdict(joint["minutes"] <= 30))
        )
    return rows


def widths(facts: dict[str, Any]) -> list[Row]:
    parts = []
    for e in facts["rows"]:
        tuned = sum(e["tuned_per_cent"]) / len(e["tuned_per_cent"])
        parts.append(f"{e['share']:.0%} {e['widths']} {tuned:.2f} ({e['macs']:,} MACs)")
    measured = f"{facts['gain_points']:+.2f} points; {', '.join(parts)}; {facts['cpu_seconds']:,.0f} s CPU"
    return [
        ("widths.py: LeNet-5, per cent after fine-tuning", "more accurate on average", measured, verdict(facts["met"]))
    ]


def signs(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for name, e in facts["networks"].items():
        measured = f"{e['integer']:.1f} dB, {e['compensated']:.1f} compensated; per-tensor fake quantisation to 0..127 "
        measured += f"{e['fake_127']:.1f}, to 0..255 {e['fake_255']:.1f}"
        target = "within 1.5 dB of 0..255" + (", 25 dB" if name == "residual" else ", compensated 19.5 dB")
        rows.append(
            (f"signs.py: signal to noise of the logits, {name}, 8 bits", target, measured, verdict(facts["met"]))
        )
    return rows


def coverage(facts: dict[str, Any]) -> Row:
    accepted, count = facts["states"].get("accepted", 0), len(facts["networks"])
    causes = "; ".join(f"{cause['what']} {cause['stops']}" for cause in facts["causes"][:3])
    done = facts["states"].get("of these compiled", 0)
    tried = sum("compile" in entry for entry in facts["networks"])
    measured = f"{accepted} of {count} accepted; of {tried} that were tried {done} compiled within a limit of time; "
    measured += f"what stops most of the others: {causes}"
    target = f"at least {facts['target']} accepted"
    return ("coverage.py: public networks", target, measured, verdict(accepted >= facts["target"]))


def noise(facts: dict[str, Any]) -> Row:
    below = {e["name"]: e["integers"] - e["stored"] for e in facts["networks"]}
    worst = min(below, key=lambda name: below[name])
    measured = f"{len(below)} networks, {below[worst]:+.1f} dB at the worst ({worst}), "
    measured += f"{sum(below.values()) / len(below):+.1f} dB on average"
    target = f"at most {facts['target']} dB below fake quantisation"
    return ("noise.py: public networks, 8 bits", target, measured, verdict(facts["met"]))


def quantised(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for name, way in facts["ways"].items():
        measured = f"{100 * way['same_class']:.2f} % of {way['images']} images; {way['same_weights']:,} of "
        measured += f"{way['weights']:,} weights, {way['same_biases']} of {way['biases']} biases; onnxruntime "
        measured += f"{way['onnxruntime_percent']} %, hwprm {way['hwprm_percent']} % right"
        whole = way["same_weights"] == way["weights"] and way["same_biases"] == way["biases"]
        good = verdict(whole and way["same_class"] >= facts["target"])
        rows.append(
            (f"quantised.py: QDQ LeNet-5, {name}: the model's class", "99 %, all integers kept", measured, good)
        )
    return rows


def irregular(facts: dict[str, Any]) -> list[Row]:
    rows = []
    for e in facts["networks"]:
        saved = e["unordered"] - e["cycles"]
        same = " (simulated the same)" if e.get("simulated") == e["cycles"] else ""
        parts = [f"{e['cycles']:,} cycles{same}", f"{e['listed'] / e['regular']:.2f} x the regular columns"]
        parts += [f"{e['zeros']:.0%} zeros stored", f"filter order saves {saved:,} ({saved / e['unordered']:.1%})"]
        parts += [f"{e['ratio']:.2f} x structured"] if e["ratio"] and e["pruning"] != "structured" else []
        parts += [f"{e['accuracy_per_cent']:.2f} per cent"] if e["accuracy_per_cent"] else []
        name = f"irregular.py: {e['net']}, {e['pruning']}, {e['weights']:,} weights, {e['rows']}x{e['cols']}"
        target = "no more cycles by order" if e["pruning"] == "structured" else "fewer cycles by order"
        good = saved >= (e["pruning"] != "structured")
        rows.append((name, target, "; ".join(parts), verdict(good)))
    return rows


def training(facts: dict[str, Any]) -> list[Row]:
    limits = facts["target"]
    rows = []
    for entry in facts["networks"]:
        for e in entry["rows"]:
            target = f"at most {limits['seconds']:.2f} x the loop's CPU seconds, {limits['memory']:g} x its memory"
            measured = f"{e['cpu_seconds']:.2f} s CPU, {e['wall_seconds']:.2f} s wall an epoch, {e['peak_mib']:.0f} MiB"
            if e["kind"] != "loop":
                measured += f"; {e['cpu_ratio']:.2f} x the loop's CPU seconds, {e['memory_ratio']:.2f} x its memory"
            name = f"training.py: {entry['net']}, {e['kind']}, {e['weights']:,} weights"
            if e["kind"].startswith("images"):
                name = f"training.py: {entry['net']}, augmented {e['kind']}, no network"
                target = "at most the loop's CPU seconds"
            measurable = e["kind"] != "loop" and e["met"] is not None
            rows.append((name, target if measurable else "", measured, verdict(e["met"]) if measurable else ""))
    return rows


def distilled(facts: dict[str, Any]) -> Row:
    measured = (
        f"{facts['distilled_seconds']:.0f} s CPU an epoch, {facts['ratio']:.2f} x the loop's "
        f"{facts['loop_seconds']:.0f} s; "
        f"copies and the teacher's answers {facts['copies_seconds_an_epoch']:.0f} s more, spread over all epochs"
    )
    target = f"at most {facts['target']:.2f} x the loop's CPU seconds"
    return ("distilled.py: compact ResNet-18 at 60x, bfloat16", target, measured, verdict(facts["met"]))


def demo(facts: dict[str, Any]) -> Row:
    usage, verify = facts["usage"], facts["verify"]
    measured = (
        f"{usage['wall_seconds']:.0f} s wall, {usage['cpu_seconds']:.0f} s CPU, {usage['peak_mib']:.0f} MiB; "
        f"{verify['images']} images, {verify['values_compared']:,} integers, {verify['mismatches']} mismatches"
    )
    return ("demo.py: hwprm demo", "under 300 s, 100 images equal", measured, verdict(facts["met"]))
