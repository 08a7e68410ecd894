"""Public checkpoints: files of named tensors, put into a network that names its parameters alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hwprm.core.errors import ModelError
from hwprm.frontend.reparametrised import effective

__all__ = ["fill", "read_weights"]

#: Keys under which training scripts keep the tensors beside other things.
NESTS = ("state_dict", "model_state_dict", "model")
#: What wrappers put before every name: DataParallel, torch.compile.
PREFIXES = ("module.", "_orig_mod.")
#: Counters that evaluation does not use; old checkpoints lack them.
COUNTERS = "num_batches_tracked"


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The named tensors in `path`: ``.safetensors``, or what ``torch.save`` wrote of a state dict.

    The state dict may lie under the key ``state_dict``, ``model_state_dict`` or ``model``, or be the only mapping of
    tensors under another one; ``module.`` may stand before all its names. Masks of pruning, weight norm and spectral
    norm are carried out. Nothing but tensors and plain values is unpickled, so a file cannot run code.
    Raises ModelError when the file is missing, cut short, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} is no file; give the path of a checkpoint (.pth, .pt or .safetensors)")
    found = _read(path)
    if isinstance(found, Mapping):
        nests = [key for key in NESTS if isinstance(found.get(key), Mapping)]
        nests += [key for key, value in found.items() if isinstance(value, Mapping) and _tensors(value)]
        if nests and (nests[0] in NESTS or len(nests) == 1):
            found = found[nests[0]]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{path} holds {_kind(found)}, no named tensors; save model.state_dict()")
    if strange := [f"{key!r} ({type(value).__name__})" for key, value in found.items() if not _named(key, value)]:
        raise ModelError(f"{path} holds more than named tensors: {_some(strange)}; save model.state_dict()")
    tensors = dict(found)
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return effective(tensors)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Put `tensors` into the parameters and buffers of `module`, each converted to its type.

    Raises ModelError that lists every missing, unknown and wrongly shaped name, or every one that is not finite;
    `module` is unchanged then. `source` is what the error calls the checkpoint.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTERS)]
    extra = [name for name in tensors if name not in own and not name.endswith(COUNTERS)]
    shared = [name for name in own if name in tensors]
    shapes = [
        f"{name} is {tuple(tensors[name].shape)} for {tuple(own[name].shape)}"
        for name in shared
        if tensors[name].shape != own[name].shape
    ]
    kinds = (("missing", missing), ("unknown", extra), ("of another shape", shapes))
    if wrong := [f"{len(names)} {kind}: {', '.join(names)}" for kind, names in kinds if names]:
        raise ModelError(
            f"{source} does not fit the network: {'; '.join(wrong)}; name the network that it was trained as, "
            "with its number of classes and width"
        )
    if broken := [name for name in shared if not torch.isfinite(tensors[name]).all()]:
        raise ModelError(f"{source} holds NaN or infinity in {', '.join(broken)}; fetch it again")
    module.load_state_dict({name: tensors[name].to(own[name].dtype) for name in shared}, strict=False)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is no whole .safetensors file ({error}); fetch it again") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken archive or a pickle of other things fails in any way
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path} is a TorchScript archive, not named tensors; save torch.jit.load({path.name!r}).state_dict()"
            ) from error
        if "Weights only load failed" in str(error):
            raise ModelError(
                f"{path} cannot be read as tensors alone: it holds other Python objects, whose code is not run; "
                "load it where its classes are known, and save model.state_dict()"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path} cannot be read as tensors alone ({reason}); fetch it again if it was cut short, "
            "and save model.state_dict() where it holds a whole module"
        ) from error


def _tensors(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(_named(key, part) for key, part in value.items())


def _named(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _kind(value: object) -> str:
    return "nothing" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
