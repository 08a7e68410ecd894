"""Getting a program: from a module or from a file."""

from __future__ import annotations

import inspect
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.ao.quantization.fx._decomposed  # registers the operators of quantised programs
from torch.export import ExportedProgram

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend.onnx_file import load_onnx
from hwprm.frontend.program import Program
from hwprm.graph import Shapes

__all__ = ["export", "load", "load_pt2"]


def export(module: torch.nn.Module, example_shape: Shapes) -> ExportedProgram:
    """`module` in evaluation mode, traced on one image of `example_shape` ``(C, H, W)`` (or ``(K,)``), without batch.

    For several inputs `example_shape` maps the names of ``forward``'s arguments to their shapes.
    The module's training flags are put back. Raises ModelError for an impossible shape or another argument,
    UnsupportedError when torch.export cannot trace the module.
    """
    shapes = _argument_shapes(module, example_shape)
    for shape in shapes:
        if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
            raise ModelError(f"the input shape must be positive integers (C, H, W) or (K,), not {shape!r}")
    first = next(iter(module.parameters()), torch.zeros(()))
    examples = tuple(torch.zeros((1, *shape), dtype=first.dtype, device=first.device) for shape in shapes)
    try:
        fake = "torch._subclasses.fake_tensor"
        with _evaluation_mode(module), torch.no_grad(), _quiet(fake), warnings.catch_warnings():
            # torch tells how it pads internally; the graph we get is padded by us.
            warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
            # torch.nn.utils.prune makes its masked weight anew in every call; the graph holds weight and mask.
            warnings.filterwarnings("ignore", "The tensor attribute .* assigned during export", UserWarning)
            return torch.export.export(module, examples, strict=False)
    except Exception as error:  # torch.export raises whatever the module's own code raises
        raise UnsupportedError(
            f"torch.export cannot trace {type(module).__name__} on an input of shape {example_shape} "
            f"({_first_line(error)}); check the input shape, and keep decisions that depend on values out of forward()"
        ) from error


def _argument_shapes(module: torch.nn.Module, shapes: Shapes) -> list[tuple[int, ...]]:
    """`shapes` in the order of the arguments of ``forward``."""
    if not isinstance(shapes, Mapping):
        return [tuple(shapes)]
    names = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and (name in shapes or parameter.default is parameter.empty)
    ]
    if set(names) != set(shapes):
        raise ModelError(
            f"forward() takes {', '.join(names)}, shapes are given for {', '.join(shapes)}; give one for each argument"
        )
    return [tuple(shapes[name]) for name in names]


def load(path: Path | str, image_shape: Shapes | None = None) -> Program:
    """The program in `path`: an ONNX model (``.onnx``, see `load_onnx`), or what ``torch.export.save`` wrote."""
    if Path(path).suffix == ".onnx":
        return load_onnx(path, image_shape)
    return Program.of_export(load_pt2(path))


def load_pt2(path: Path | str) -> ExportedProgram:
    """Read what ``torch.export.save`` wrote. Raises ModelError when `path` is missing, cut short or something else.

    The file may hold pickled objects: open only files that you trust.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} is no file; {_MEND}")
    if other := _other(path):
        raise ModelError(f"{path} is no torch.export file but {other}")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is no torch.export file (or was cut short); {_MEND}")
    try:
        with _quiet("torch.export"):
            return torch.export.load(path)
    except Exception as error:  # an archive of something else fails in many ways
        raise ModelError(
            f"{path} is an archive, but torch.export cannot read it ({_first_line(error)}); {_MEND}"
        ) from error


_MEND = "write it with torch.export.save(torch.export.export(model.eval(), (image,)), 'model.pt2')"
_SAVED = (
    "what torch.save wrote: a state dict or a pickled module. Load it in Python (model.load_state_dict), then "
    f"{_MEND}; a state dict of a reference network is taken by: hwprm load NETWORK FILE"
)


def _other(path: Path) -> str | None:
    """What `path` holds, and what to do with it, when it is a file of another kind that is known."""
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return f"a pickle, probably {_SAVED}"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model; build the network in torch, and " + _MEND
    if start[8:] == b"{" or path.suffix == ".safetensors":
        return f"named tensors (safetensors). Load them into the module that they belong to, then {_MEND}"
    if path.suffix == ".onnx":
        return "an ONNX model; read it with hwprm.frontend.load"
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception:  # its end is there, the list of its members is damaged: torch.export says so
            return None
        if any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names):
            return f"a TorchScript archive. Take the module that it was made of, and {_MEND}"
        if any(name.endswith("/data.pkl") for name in names):
            return _SAVED
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags:
            part.training = flag


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """torch logs what it raises; our error says it all."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
