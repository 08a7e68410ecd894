"""The top of a board, from its pins: its PLL makes the clock, its reset ends, and an image goes through."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hwprm.bundle.driver import pack
from hwprm.bundle.images import random_images
from hwprm.config import EmitConfig
from hwprm.emission import emit_bundle, host_of
from hwprm.intnet import Term
from hwprm.isa.frames import HELLO, IMAGE, OVERHEAD, RESULT, STATUS, STATUS_BYTES, Decoder, Frame, Reason, Status
from hwprm.targets.board import plan_board
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.rounds import long_round

pytestmark = pytest.mark.sim

CELLS = Path(__file__).with_name("board_cells.v")


@pytest.mark.parametrize(
    ("name", "clock", "baud", "pressed"),
    long_round(
        [
            ("icebreaker", 30.0, 3_000_000, 0),  # from a PLL
            ("ulx3s-85f", 75.0, 3_000_000, 1),
            ("icebreaker", 12.0, 3_000_000, 0),  # the board's own clock
            ("icebreaker", 6.0, 1_000_000, 0),  # divided
        ],
        quick=2,
    ),
)
def test_from_pin_to_pin(name: str, clock: float, baud: int, pressed: int, tmp_path: Path) -> None:
    spec = Spec(name="a", terms=(Term(source="image", weight=seeded_weights(2, 1, 2, 3)),), wide=True)
    program = compiled(network((1, 2, 3), (spec,)), 1, 2)
    images = random_images(1, program.network.image_limits, seed=3)
    emit = EmitConfig(host="uart", clock=clock, baud=baud, silence=0.1)
    bundle = emit_bundle(program, images, None, tmp_path / "bundle", host=host_of(emit))
    plan = plan_board(bundle.folder, name)
    (tmp_path / "top.v").write_text(plan.around.verilog)
    frames = [Frame(kind=HELLO), Frame(kind=IMAGE, payload=pack(bundle.manifest, images[0]))]
    data = b"".join(frame.encode() for frame in frames)
    (bundle.folder / "sent.mem").write_text("\n".join(f"{byte:02x}" for byte in data))
    greeting = STATUS_BYTES + OVERHEAD
    parameters = {
        "CLOCK_PS": round(1e6 / float(plan.site.mhz)),
        "BIT_PS": round(1e12 / baud),
        "SENT": len(data),
        "COUNT": 2 * greeting + 8 + OVERHEAD,
        "PRESSED": pressed,
    }
    iverilog, vvp = shutil.which("iverilog"), shutil.which("vvp")
    assert iverilog and vvp
    subprocess.run(
        [
            *(iverilog, "-g2005", f"-DGREETING={greeting}", "-o", str(tmp_path / "sim"), "-s", "bench"),
            *(f"-Pbench.{key}={value}" for key, value in parameters.items()),
            *(str(CELLS), str(tmp_path / "top.v"), *map(str, bundle.sources())),
        ],
        check=True,
    )
    done = subprocess.run([vvp, str(tmp_path / "sim")], cwd=bundle.folder, capture_output=True, text=True, check=True)
    words = [line for line in done.stdout.split() if len(line) == 2]
    assert "too long" not in done.stdout and "broken" not in done.stdout, done.stdout
    found = list(Decoder(longest=STATUS_BYTES).feed(bytes(int(word, 16) for word in words)))
    assert [frame.kind for frame in found] == [STATUS, STATUS, RESULT, STATUS]
    told = [Status.decode(frame.payload) for frame in found if frame.kind == STATUS]
    assert [status.reason for status in told] == [Reason.RESET, Reason.ASKED, Reason.RESET]
    assert {status.hash for status in told} == {bundle.manifest.design_hash}
    assert found[2].payload == bundle.golden("a").astype("<i4").tobytes()
