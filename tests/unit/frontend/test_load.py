"""Files of torch.export: read again, or refused with what is wrong."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from hwprm.core.errors import ModelError
from hwprm.frontend import export, load_pt2, to_graph

from .modules import Everything


def test_pt2_round_trip(tmp_path: Path) -> None:
    torch.export.save(export(Everything(), (2, 18, 17)), tmp_path / "model.pt2")
    names = [node.name for node in to_graph(load_pt2(tmp_path / "model.pt2")).nodes]
    assert names == [node.name for node in to_graph(Everything(), (2, 18, 17)).nodes]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_files_that_are_no_pt2(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no file; write it with torch.export.save"):
        load_pt2(tmp_path / "absent.pt2")
    (tmp_path / "text.pt2").write_text("hello")
    with pytest.raises(ModelError, match=r"is no torch.export file \(or was cut short\); write it with"):
        load_pt2(tmp_path / "text.pt2")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt2")
    with pytest.raises(ModelError, match=r"but what torch.save wrote: a state dict .*; a state dict of a ref"):
        load_pt2(tmp_path / "state.pt2")
    with zipfile.ZipFile(tmp_path / "zip.pt2", "w") as archive:
        archive.writestr("hello", "hello")
    with pytest.raises(ModelError, match=r"is an archive, but torch.export cannot read it"):
        load_pt2(tmp_path / "zip.pt2")
    for name, kind in (
        ("old.pth", "a pickle, probably what torch.save wrote"),
        ("net.onnx", "an ONNX model"),
        ("net.safetensors", "named tensors"),
    ):
        (tmp_path / name).write_bytes(pickle.dumps([]) if name == "old.pth" else b"\x08\x07\x12\x07")
        mend = "read it with hwprm.frontend.load" if name == "net.onnx" else "write it with"
        with pytest.raises(ModelError, match=f"is no torch.export file but {kind}.*{mend}"):
            load_pt2(tmp_path / name)
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(ModelError, match=r"but a TorchScript archive. Take the module that it was made of, and write"):
        load_pt2(tmp_path / "script.pt")
    torch.export.save(export(Everything(), (2, 18, 17)), tmp_path / "whole.pt2")
    data = (tmp_path / "whole.pt2").read_bytes()
    (tmp_path / "list.pt2").write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\x03"))
    with pytest.raises(ModelError, match="torch.export cannot read it"):
        load_pt2(tmp_path / "list.pt2")
    (tmp_path / "cut.pt2").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"was cut short"):
        load_pt2(tmp_path / "cut.pt2")
