"""Writing and opening bundles."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import MANIFEST, SEAL, Bundle
from hwprm.bundle.manifest import ChecksEntry, Manifest
from hwprm.compiler import Proof
from hwprm.core.errors import BundleError, ConfigError, InputError
from hwprm.core.files import digest_of
from hwprm.emission.writer import write_bundle
from hwprm.intnet.reference import run
from tests.sim.standin import images, network, parts, standin_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return standin_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def copy(made: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(made.folder, tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_input_same_bytes(made: Bundle, tmp_path: Path) -> None:
    again = standin_bundle(tmp_path / "elsewhere" / "again")
    assert contents(again.folder) == contents(made.folder)
    assert not any(str(tmp_path).encode() in data for data in contents(again.folder).values())


def test_contents(made: Bundle) -> None:
    names = set(contents(made.folder))
    assert names == set(made.manifest.files) | {MANIFEST, SEAL}
    assert {"rtl/hwprm_top.v", "rtl/hwprm_core.v", "rtl/hwprm_rom.v", "rtl/hwprm_ram.v"} <= names
    assert {"tb/tb_hwprm.v", "mem/weights.mem", "golden/images_0.mem", "README.md"} <= names
    assert [path.name for path in made.sources()] == ["hwprm_core.v", "hwprm_ram.v", "hwprm_rom.v", "hwprm_top.v"]
    assert made.testbench.is_file()


def test_older_manifests_lack_the_checks(made: Bundle) -> None:
    plain = json.loads((made.folder / MANIFEST).read_text())
    assert plain.pop("checks") == {"passes": [], "pass_images": 0, "crosscheck_images": 0}
    assert Manifest.from_json(plain) == made.manifest


def test_checks_stand_in_manifest_and_readme(tmp_path: Path) -> None:
    proof = Proof(passes=("one", "two"), images=8)
    checked = replace(parts(), network=replace(network(), crosschecked=4), proof=proof)
    bundle = write_bundle(checked, images(), None, tmp_path / "bundle")
    assert Bundle.load(bundle.folder).manifest.checks == ChecksEntry(
        passes=("one", "two"), pass_images=8, crosscheck_images=4
    )
    assert bundle.network.crosschecked == 4
    text = (bundle.folder / "README.md").read_text()
    assert "On 8 sample images none of the compiler's passes (one, two) changed an integer of any tensor." in text
    assert "On 4 calibration images the references in torch and in numpy agreed" in text


def test_golden_vectors(made: Bundle) -> None:
    tensors = run(network(), images())
    assert np.array_equal(made.images, images())
    assert made.labels is not None
    assert list(made.labels) == [0, 1, 2, 3, 4]
    assert np.array_equal(made.golden("squash"), tensors["squash"][:4])
    assert np.array_equal(made.golden("score"), tensors["score"])
    assert np.array_equal(run(made.network, images())["score"], tensors["score"])


def test_without_labels(tmp_path: Path) -> None:
    bundle = write_bundle(parts(), images(1), None, tmp_path / "b")
    assert bundle.labels is None
    assert bundle.manifest.layer_images == 1


def test_manifest_round_trip(made: Bundle) -> None:
    plain = json.loads((made.folder / MANIFEST).read_text())
    assert Manifest.from_json(plain) == made.manifest
    assert made.manifest.register("ID").value == 0x48575052
    assert made.manifest.register("HASH7").value == 0xA5A5A5A5
    assert made.manifest.register("CYCLES").value is None
    assert made.manifest.port("s_axis_tdata").width == made.manifest.tdata_bits == 8
    assert made.manifest.image_words == 6


def test_readme_tells_ports_and_registers(made: Bundle) -> None:
    text = (made.folder / "README.md").read_text()
    for port in made.manifest.ports:
        assert f"`{port.name}`" in text
    for register in made.manifest.registers:
        assert f"| `0x{register.offset:02x}` | {register.name} |" in text
    assert "45 clock cycles per image" in text


@pytest.mark.parametrize(("bits", "kinds"), [(8, ("uint8", "uint8")), (5, ("int8", "int8")), (12, ("int16", "int16"))])
def test_unsigned_tensors_in_readme_manifest_and_golden_vectors(
    tmp_path: Path, bits: int, kinds: tuple[str, str]
) -> None:
    """Network, images and vectors of `bits` bits, all but the output unsigned."""
    net, top = network(), (1 << bits) - 1
    tensors = tuple(replace(tensor, bits=bits, signed=False) for tensor in net.tensors[:2])
    layers = (replace(net.layers[0], clamp=(0, top)), net.layers[1])
    net = replace(net, act_bits=bits, tensors=(*tensors, net.tensors[2]), layers=layers)
    array = replace(parts().array, act_bits=bits)
    x = np.random.default_rng(0).integers(0, top, (5, 1, 2, 3), endpoint=True)
    made = write_bundle(replace(parts(), network=net, array=array), x, None, tmp_path / "bundle")
    assert [entry.signed for entry in (*made.manifest.inputs, *made.manifest.layers)] == [False, False, True]
    assert (made.images == x).all() and made.network.tensor["squash"].limits == (0, top)
    text = (made.folder / "README.md").read_text()
    assert "An activation is unsigned and zero-extended to 8 bits." in text and f"saturated to 0..{top}." in text
    assert "| 0 | squash | 1 x 2 x 3, unsigned |" in text
    found = tuple(str(np.load(made.folder / "golden" / f"{name}.npy").dtype) for name in ("images", "layer_0"))
    assert found == kinds


def test_readme_tells_what_an_integrator_asks(made: Bundle) -> None:
    text = (made.folder / "README.md").read_text()
    assert "An activation is signed and sign-extended to 8 bits. One step of it is 1.0\nof the network's real" in text
    assert "saturated to -128..127." in text
    assert "| score | 2 x 1 x 1 | 2 | 1.0 |" in text
    for name, what, kind, shape in (
        ("images", "test images 0..4", "int8", "(5, 1, 2, 3)"),
        ("labels", "their classes", "int64", "(5,)"),
        ("layer_0", "tensor squash of images 0..3", "int8", "(4, 1, 2, 3)"),
        ("layer_1", "tensor score of images 0..4", "int32", "(5, 2, 1, 1)"),
    ):
        assert f"| `{name}.npy` | {what} | {kind} | {shape} |" in text
        array = np.load(made.folder / "golden" / f"{name}.npy")
        assert (str(array.dtype), str(array.shape)) == (kind, shape)
    for words in (
        "Hold `rst` for 8 rising edges",
        "A missing TLAST",
        "Busy is 1 while",
        "without TLAST takes the one behind it along, and both count as one",
        "when nobody takes logits (two results are kept; STALLS counts these cycles)",
        "the lowest two bits of an address are ignored",
        "Of the strobes",
        "read 0, and",
    ):
        assert words in text
    assert "BASE" not in text, "designs with ROMs have no such register"
    assert not {"BASE", "BASE_HIGH"} & {register.name for register in made.manifest.registers}


def test_no_empty_line_where_a_template_loops(made: Bundle) -> None:
    header = (made.folder / "rtl" / "hwprm_top.v").read_text().partition("`default_nettype")[0]
    assert "\n\n" not in header
    assert made.manifest.design_hash in header


@pytest.mark.parametrize(
    "name", ["rtl/hwprm_core.v", "mem/weights.mem", "golden/images.npy", "network/network.json", "tb/tb_hwprm.v"]
)
def test_an_edited_file_is_named(copy: Path, name: str) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(
        BundleError, match=rf": {name} was edited \(its SHA-256 is not the manifest's\); emit the bundle"
    ):
        Bundle.load(copy)
    assert Bundle.load(copy, allow_edited=True).folder == copy


def test_an_edited_manifest(copy: Path) -> None:
    path = copy / MANIFEST
    path.write_text(path.read_text().replace('"image": 45', '"image": 44'))
    with pytest.raises(BundleError, match="manifest.json was edited"):
        Bundle.load(copy)
    assert Bundle.load(copy, allow_edited=True).manifest.cycles.image == 44


@pytest.mark.parametrize("allow_edited", [False, True])
def test_a_missing_file_is_named(copy: Path, allow_edited: bool) -> None:
    (copy / "mem" / "weights.mem").unlink()
    with pytest.raises(BundleError, match="copy is incomplete: mem/weights.mem is missing; emit the bundle again"):
        Bundle.load(copy, allow_edited=allow_edited)


def test_a_file_too_many_is_named(copy: Path) -> None:
    (copy / "rtl" / "more.v").write_text("module more; endmodule\n")
    with pytest.raises(
        BundleError, match=r"rtl/more.v is not in the manifest; move it away, or give .* --allow-edited$"
    ):
        Bundle.load(copy)
    assert "more.v" not in {path.name for path in Bundle.load(copy, allow_edited=True).sources()}


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle: manifest.json cannot be read; write one with `hwprm compile`"):
        Bundle.load(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(BundleError, match="is no bundle: manifest.sha256 cannot be read"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "hwprm-bundle-0"}', '{"format": "hwprm-bundle-4"}'])
def test_a_manifest_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    (tmp_path / SEAL).write_text(hashlib.sha256(text.encode()).hexdigest() + "\n")
    with pytest.raises(BundleError, match="manifest.json cannot be understood"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_bundles_of_earlier_versions_are_told_what_verifies_them(tmp_path: Path, number: int) -> None:
    text = json.dumps({"format": f"hwprm-bundle-{number}"})
    (tmp_path / MANIFEST).write_text(text)
    (tmp_path / SEAL).write_text(hashlib.sha256(text.encode()).hexdigest() + "\n")
    told = f"is of format 'hwprm-bundle-{number}', this version reads 'hwprm-bundle-4'; verify it with the version that"
    with pytest.raises(BundleError, match=told):
        Bundle.load(tmp_path)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; choose another one or delete it"):
        standin_bundle(tmp_path / "b")
    assert contents(tmp_path) == {"b/mine.txt": b"mine"}


def test_nothing_is_left_behind_by_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^a bundle needs at least one test image"):
        write_bundle(parts(), images(0), None, tmp_path / "b")
    with pytest.raises(ConfigError, match="^5 test images need as many labels, not 3$"):
        write_bundle(parts(), images(), np.arange(3), tmp_path / "b")
    with pytest.raises(InputError, match="must lie in -128..127"):
        write_bundle(parts(), images() + 200, None, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_digest_of(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert digest_of(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
