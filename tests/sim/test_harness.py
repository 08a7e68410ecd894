"""The harness on a stand-in core: it passes what is right and fails everything that is not."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import BundleError, InputError, MismatchError, ToolError
from hwprm.verification import VerifyReport, verify_bundle
from hwprm.verification.modes import simulation
from tests.sim.standin import CORE, standin_bundle
from tests.support.rounds import long_round

pytestmark = pytest.mark.sim


def check(folder: Path, work: Path, **options: object) -> VerifyReport:
    plain = VerifyConfig(sim="icarus", images=6, icarus_images=6, search=False, work=work, timeout=600.0)
    config = replace(plain, **options)  # type: ignore[arg-type]  # options of any field
    return verify_bundle(folder, config)


def edited_core(folder: Path, *changes: tuple[str, str]) -> Path:
    """A bundle, in order as far as its manifest goes, around a core with a fault."""
    text = CORE.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return standin_bundle(folder, text).folder


def failures(report: VerifyReport) -> str:
    assert not report.ok
    with pytest.raises(MismatchError, match="'standin' in RTL is not what the integer reference computes"):
        report.raise_on_failure()
    return "\n".join(f"{case.mode} {case.name}: {case.failure}" for case in report.failures)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is given up after some thousand cycles, forty images' worth."""
    monkeypatch.setattr(simulation, "PATIENCE", 1_500)


@pytest.mark.slow
def test_both_simulators_agree(standin: Bundle, work: Path, tmp_path: Path) -> None:
    config = VerifyConfig(sim="both", images=40, icarus_images=20, search=False, work=work, optimise=False)
    junit = tmp_path / "junit.xml"
    said: list[tuple[str, int, int]] = []
    report = verify_bundle(standin.folder, config, junit=junit, progress=lambda *step: said.append(step))
    assert report.failures == ()
    assert report.ok
    # protocol: per simulator 6 + 2 integers of 14 images; bulk: 2 logits an image
    assert report.values_compared == 2 * 14 * 8 + 2 * (40 + 20)
    assert (report.images, report.image_source) == (40, "5 stored, 35 random")
    assert report.cycles_simulated == report.cycles_predicted == 45
    assert dict(report.layer_cycles_simulated) == {"squash": 5, "score": 40}
    assert [line.split()[0] for line, *_ in said] == ["verilator"] * 3 + ["icarus"] * 3
    assert [done for _, done, _ in said] == [0, 8, 9, 10, 18, 19]
    assert {total for _, _, total in said} == {20}
    assert said[-1][0].endswith(": bulk, 20 images")
    suites = ET.parse(junit).getroot()
    assert suites.get("failures") == "0"
    names = {(case.get("classname"), case.get("name")) for case in suites.iter("testcase")}
    assert ("standin.icarus.protocol", "layer squash") in names
    assert ("standin.verilator.bulk", "images 5..39, random") in names
    assert ("standin.both.bulk", "equal outputs and cycles") in names


@pytest.mark.slow
def test_folders_may_be_relative_with_spaces_and_quotation_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / """a b's "c" $d"""
    folder = standin_bundle(place / "bundle").folder
    monkeypatch.chdir(place)
    config = VerifyConfig(sim="both", images=1, modes=("bulk",), work=Path("my work"), optimise=False)
    assert verify_bundle(folder, config).ok
    assert {path.name for path in place.iterdir()} == {"bundle", "my work"}


def test_results_file_is_looked_at_first(standin: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"^cannot write .*junit.xml: .*file is no writable folder"):
        verify_bundle(standin.folder, VerifyConfig(), junit=tmp_path / "file" / "junit.xml")


def test_a_second_run_compiles_nothing(standin: Bundle, work: Path) -> None:
    check(standin.folder, work, modes=("bulk",))
    before = {path: path.stat().st_mtime_ns for path in work.rglob("sim.vvp")}
    check(standin.folder, work, modes=("bulk",))
    assert {path: path.stat().st_mtime_ns for path in work.rglob("sim.vvp")} == before
    assert list((work / "runs").iterdir()) == []


def test_a_wrong_logit_is_named(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("acc1 + w1 * operand", "acc1 + w1 * operand + (acc0 == 117)"))
    report = check(folder, work, modes=("bulk",))
    text = failures(report)
    assert "layer 'score', channel 1, row 0, column 0: expected" in text
    assert "in cycle" in text
    assert 0 < report.mismatches < 6


def test_a_wrong_layer_is_named_although_the_logits_are_right(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("x1 < 0 ? 8'sd0 : x1", "x1 < 0 ? 8'sd1 : x1"))
    text = failures(check(folder, work, modes=("protocol",)))
    assert "layer squash: image 1, layer 'squash', channel 0, row 0, column 1: expected 0, got 1 in cycle " in text
    assert "layer score" not in text


def test_a_wrong_layer_is_named_in_bulk_mode_too(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("x1 < 0 ? 8'sd0 : x1", "x1 < 0 ? 8'sd1 : x1"))
    report = check(folder, work, modes=("bulk",), trace_images=2)
    text = failures(report)
    assert "bulk layer squash: image 1, layer 'squash', channel 0, row 0, column 1: expected 0, got 1 in cycle " in text
    assert text.count("bulk ") == 1
    assert report.mismatches == text.count("expected 0, got 1")
    assert check(folder, work, modes=("bulk",)).ok, "without a trace nothing but the logits is looked at"


def test_a_trace_with_unknown_bits_and_one_without_an_end(tmp_path: Path, work: Path) -> None:
    core = ("probe_data = {second, head}", "probe_data = {second, count == 2 ? 8'hzz : head}")
    text = failures(check(edited_core(tmp_path / "b", core), work, modes=("bulk",), trace_images=1))
    assert "channel 0, row 0, column 2: expected " in text
    assert "got xxxxxxxx in cycle" in text
    core = ("    wire write =", "    initial #1000 $finish;\n    wire write =")
    text = failures(check(edited_core(tmp_path / "c", core), work, modes=("bulk",), trace_images=6))
    assert re.search(r"layer squash: image [1-5], layer 'squash', channel 0, row \d, column \d: .*, got nothing", text)


def test_missing_logits(impatient: None, tmp_path: Path, work: Path) -> None:
    folder = edited_core(
        tmp_path / "b",
        ("m_axis_tlast = count == 1", "m_axis_tlast = count == 0"),
        ("if (count == 1) begin state <= LOAD", "if (count == 0) begin state <= LOAD"),
    )
    text = failures(check(folder, work))
    assert "image 0: 1 logits instead of 2, so TLAST is wrong" in text
    assert "image 5, layer 'score', channel 1, row 0, column 0: expected" in text
    assert "got nothing" in text


def test_a_vector_that_is_never_stored(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("!count[0] && count < 6", "!count[0] && count < 4"))
    text = failures(check(folder, work, modes=("protocol",)))
    assert "channel 0, row 1, column 1: expected" in text
    assert "got nothing" in text


def hanging(folder: Path) -> Path:
    """A core that stops when it should send its first logits."""
    return edited_core(folder, ("if (count == 36) begin state <= SEND", "if (count == 70) begin state <= SEND"))


def test_a_hanging_design(impatient: None, tmp_path: Path, work: Path) -> None:
    text = failures(check(hanging(tmp_path / "b"), work, modes=("protocol",)))
    assert re.search(r"test back_to_back: image 0: no logits came within \d+ cycles, in cycle \d+", text)


def test_a_design_that_falls_silent(tmp_path: Path, work: Path) -> None:
    text = failures(check(hanging(tmp_path / "b"), work, modes=("bulk",)))
    assert re.search(r"test stream: image 0: the design fell silent after 0 of 6 images, in cycle \d+", text)


def test_a_design_that_takes_nothing(impatient: None, tmp_path: Path, work: Path) -> None:
    ready = "(state == LOAD && (run || count != 0)) || state == DRAIN"
    text = failures(check(edited_core(tmp_path / "b", (ready, "1'b0")), work))
    taken = r"test first_beat_after_reset: image 0: beat 0 was not taken within \d+ cycles, in cycle \d+"
    assert re.search(taken, text)
    assert "without finishing" not in text


def test_registers_that_do_not_answer(tmp_path: Path, work: Path) -> None:
    folder = edited_core(
        tmp_path / "b", ("s_axil_rvalid <= 1;\n            case", "s_axil_rvalid <= 0;\n            case")
    )
    text = failures(check(folder, work, modes=("protocol",)))
    assert re.search(r"test registers: register ID did not answer a read within 10000 cycles, in cycle \d+", text)


@pytest.mark.parametrize("mode", ["bulk", "protocol"])
def test_a_result_without_an_end(impatient: None, tmp_path: Path, work: Path, mode: str) -> None:
    folder = edited_core(
        tmp_path / "b",
        ("m_axis_tlast = count == 1", "m_axis_tlast = 0"),
        ("count <= count + 1;\n                if (count == 1) begin state <= LOAD;", "if (0) begin state <= LOAD;"),
    )
    text = failures(check(folder, work, modes=(mode,)))
    what = "test stream: image 0: no end" if mode == "bulk" else "test back_to_back: image 0: no logits came"
    assert re.search(rf"{what} within \d+ cycles, in cycle \d+", text)


@pytest.mark.slow
def test_a_simulator_that_never_ends(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("    wire write =", "    initial #200 while (1) begin end\n    wire write ="))
    text = failures(check(folder, work, modes=("bulk",), timeout=60.0))
    assert "the simulator was stopped after 60 s without finishing the test 'stream'" in text


def test_a_simulator_that_ends_early(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("    wire write =", "    initial #300 $finish;\n    wire write ="))
    text = failures(check(folder, work, modes=("bulk",)))
    assert "bulk stream: " in text


def test_a_missing_rom_image_in_the_simulator(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("mem/weights.mem", "mem/nothing.mem"))
    text = failures(check(folder, work, modes=("bulk",)))
    assert "a memory image is missing or of the wrong length" in text
    assert "mem/nothing.mem" in text


def test_unknown_bits_are_shown(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("count == 0 ? acc0 : acc1", "count == 0 ? acc0 : {acc1[31:4], 4'bx}"))
    text = failures(check(folder, work, modes=("bulk",)))
    assert "xxxx in cycle" in text


def test_a_wrong_prediction(tmp_path: Path, work: Path) -> None:
    folder = standin_bundle(tmp_path / "b", cycles=46).folder
    text = failures(check(folder, work))
    assert "the CYCLES register reads 45, 46 are predicted" in text
    assert "layer 'score' takes 40 cycles, 41 are predicted" in text


def test_a_misused_protocol_that_goes_unnoticed(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("too_short <= 1; dropped", "dropped"))
    text = failures(check(folder, work, modes=("protocol",)))
    assert text.count("protocol ") == 1
    assert "STATUS reads 0x0 after a short image" in text


def test_a_register_that_differs_from_the_manifest(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("32'ha5a5a5a5", "32'ha5a5a5a4"))
    text = failures(check(folder, work, modes=("protocol",)))
    assert "register HASH0 reads 0xa5a5a5a4, the manifest says 0xa5a5a5a5" in text


def test_verilog_that_does_not_compile(tmp_path: Path, work: Path) -> None:
    folder = edited_core(tmp_path / "b", ("endmodule", "wire wire;\nendmodule"))
    with pytest.raises(ToolError, match="^icarus 1.* could not compile the bundle; the end of its output:"):
        check(folder, work)


def test_a_flipped_rom_bit(tmp_path: Path, work: Path) -> None:
    folder = standin_bundle(tmp_path / "b").folder
    rom = folder / "mem" / "weights.mem"
    lines = rom.read_text().splitlines()
    lines[2] = f"{int(lines[2], 16) ^ 1:04x}"
    rom.write_text("\n".join(lines) + "\n")
    with pytest.raises(BundleError, match="mem/weights.mem was edited"):
        check(folder, work)
    text = failures(check(folder, work, modes=("bulk",), allow_edited=True))
    assert "layer 'score', channel 0" in text
    assert "channel 1" not in text


def test_a_rom_image_cut_short(tmp_path: Path, work: Path) -> None:
    folder = standin_bundle(tmp_path / "b").folder
    rom = folder / "mem" / "weights.mem"
    rom.write_text("\n".join(rom.read_text().splitlines()[:-1]) + "\n")
    text = failures(check(folder, work, modes=("bulk",), allow_edited=True))
    assert "a memory image is missing or of the wrong length" in text


@pytest.mark.parametrize("image", [0, 4])
def test_edited_golden_vectors(tmp_path: Path, work: Path, image: int) -> None:
    folder = standin_bundle(tmp_path / "b").folder
    golden = np.load(folder / "golden" / "layer_1.npy")
    assert len(golden) == 5, "logits are stored of more images than the other layers"
    golden[image, 0] += 1
    np.save(folder / "golden" / "layer_1.npy", golden)
    text = failures(check(folder, work, modes=("bulk",), allow_edited=True))
    assert "1 golden integers are not what the reference computes" in text


@pytest.mark.parametrize(("sim", "last"), long_round([("icarus", 895), ("verilator", 890)], quick=1))
def test_a_waveform_of_a_window(standin: Bundle, work: Path, tmp_path: Path, sim: str, last: int) -> None:
    report = check(standin.folder, work, sim=sim, modes=("bulk",), wave="50:90", wave_dir=tmp_path)
    assert report.ok
    assert report.waves == (str(tmp_path / f"standin-{sim}-bulk.fst"),)
    # Cycle 50 begins 495 ns after the start; Verilator closes the file before it writes the step that ends the window.
    assert fst_times(Path(report.waves[0])) == (495, last)


def fst_times(path: Path) -> tuple[int, int]:
    """First and last time of an FST file in ns: its header is of type 0 and length 329, then come two times in ps."""
    data = path.read_bytes()
    assert data[0] == 0
    assert int.from_bytes(data[1:9], "big") == 329
    first, last = (int.from_bytes(data[i : i + 8], "big") for i in (9, 17))
    return first // 1000, last // 1000


def test_by_hand_without_cocotb(standin: Bundle, tmp_path: Path) -> None:
    sources = [str(path) for path in (*standin.sources(), standin.testbench)]
    program, log = tmp_path / "hand.vvp", tmp_path / "events.log"
    subprocess.run(["iverilog", "-g2005", "-o", str(program), "-s", "tb_hwprm", *sources], check=True)
    command = ["vvp", str(program), "+bulk", "+alone", "+images=3", f"+log={log}"]
    run = subprocess.run([*command, "+dir=golden"], cwd=standin.folder, check=True, capture_output=True, text=True)
    assert "3 of 3 images done" in run.stdout
    logits = [int(line.split()[2], 16) for line in log.read_text().splitlines() if line.startswith("O")]
    assert logits == [int(v) & 0xFFFFFFFF for v in standin.golden("score")[:3].ravel()]
    run = subprocess.run([*command, "+dir=nowhere"], cwd=standin.folder, check=True, capture_output=True, text=True)
    assert "cannot read image file nowhere/images_0.mem" in run.stdout


def test_a_result_that_does_not_stand_still(tmp_path: Path, work: Path) -> None:
    wrong = ("m_axis_tdata = count == 0 ? acc0 : acc1", "m_axis_tdata = (count == 0 ? acc0 : acc1) ^ !m_axis_tready")
    text = failures(check(edited_core(tmp_path / "b", wrong), work, modes=("protocol",)))
    assert "protocol offers stand still: m_axis does not hold what it offers until it is taken: cycle " in text
    assert text.count("protocol ") == 1, "nothing else sees it: what is taken is right"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("s_axil_bresp = 0", "s_axil_bresp = 2"), "answers a write with BRESP 2"),
        (("s_axil_rresp = 0", "s_axil_rresp = 3"), "answers a read with RRESP 3"),
        (("s_axil_bvalid <= 0; s_axil_rvalid <= 0; end", "s_axil_bvalid <= 0; end"), "rvalid is high in reset"),
        (("run <= 1; s_axil_bvalid <= 0;", "run <= 1;"), "bvalid is high in reset"),
        (("8'h24: s_axil_rdata <= 2", "8'h20: s_axil_rdata <= 7; 8'h24: s_axil_rdata <= 2"), "STALLS"),
    ],
)
def test_answers_of_registers(change: tuple[str, str], said: str, tmp_path: Path, work: Path) -> None:
    known = [(f"output reg s_axil_{name},", f"output reg s_axil_{name} = 0,") for name in ("rvalid", "bvalid")]
    assert said in failures(check(edited_core(tmp_path / "b", change, *known), work, modes=("protocol",)))
