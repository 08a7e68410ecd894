"""A row that takes seconds: a recipe of LeNet-5 on images of bars."""

from __future__ import annotations

from pathlib import Path

TEXT = """
[recipe]
title = "tiny"
source = "nowhere"
count = "all_weights"
compression = 10
reach = 20
steps = ["shrink", "purify", "compact", "finetune"]
seeds = [0]

[data]
name = "{data}"
validation = 60

[train]
epochs = 2
batch = 32
augment = "shift"
copies = 1

[shrink]
left = 43000
rate = 5.0
every = 3

[finetune]
epochs = 1
batch = 32
"""


def recipe_file(folder: Path, data: Path, **changes: str) -> Path:
    text = TEXT.format(data=data)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "tiny.toml"
    file.write_text(text)
    return file
