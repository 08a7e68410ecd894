"""Files of torch.export: read again, or refused with what is wrong."""

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


def test_files_that_are_no_pt2(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no file; write it with torch.export.save"):
        load_pt2(tmp_path / "absent.pt2")
    (tmp_path / "text.pt2").write_text("hello")
    with pytest.raises(ModelError, match=r"is no torch.export file \(or was cut short\); write it with"):
        load_pt2(tmp_path / "text.pt2")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt2")
    with pytest.raises(ModelError, match=r"is an archive, but torch.export cannot read it"):
        load_pt2(tmp_path / "state.pt2")
    torch.export.save(export(Everything(), (2, 18, 17)), tmp_path / "whole.pt2")
    data = (tmp_path / "whole.pt2").read_bytes()
    (tmp_path / "cut.pt2").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"was cut short"):
        load_pt2(tmp_path / "cut.pt2")
