"""Published checkpoint files: safe reading, recognising whose they are, and loading them completely."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeflow.errors import CheckpointError

__all__ = ["Kind", "identify", "load_strictly", "read_published", "require_kind", "without_prefix"]

Kind = Literal["multiflow", "mvanet", "efficientnet_pytorch", "timm", "unknown"]

_WRAPPERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "state_dict_ema",
    "model_ema",
)
_MOST_WRAPPERS = 4
_PREFIXES = ("module.", "model.", "_orig_mod.")  # DataParallel, training frameworks, torch.compile

OLDEST_SAFE_TORCH = (2, 10)  # before, torch.load(weights_only=True) could be made to execute code

_MARKS: dict[Kind, re.Pattern[str]] = {
    "multiflow": re.compile(r"module_list\.\d+\.s[12]\.gamma0"),
    "mvanet": re.compile(r"multifieldcrossatt\.attention\.0\.in_proj_weight"),
    "efficientnet_pytorch": re.compile(r"_conv_stem\.weight|_blocks\.0\._depthwise_conv\.weight"),
    "timm": re.compile(r"blocks\.0\.0\.conv_dw\.weight"),
}

_NAMES: dict[Kind, str] = {
    "multiflow": "a Multi-Flow checkpoint",
    "mvanet": "an MVANet checkpoint",
    "efficientnet_pytorch": "an EfficientNet checkpoint of efficientnet_pytorch",
    "timm": "an EfficientNet checkpoint of timm",
    "unknown": "a checkpoint of no known kind",
}


def identify(names: set[str]) -> Kind:
    """Return the kind of a checkpoint, recognised by one tensor name that only this network has."""
    for kind, mark in _MARKS.items():
        if any(mark.fullmatch(name) for name in names):
            return kind
    return "unknown"


def require_kind(state: Mapping[str, Tensor], *allowed: Kind) -> Kind:
    """The kind of a checkpoint, where only some are of use.

    Raises:
        CheckpointError: another kind; the message says which it is and which is needed.
    """
    kind = identify(set(state))
    if kind not in allowed:
        sample = f" (its first tensor: {next(iter(state), 'none')})" if kind == "unknown" else ""
        needed = " or ".join(_NAMES[name] for name in allowed)
        raise CheckpointError(f"this is {_NAMES[kind]}{sample}; what is needed here is {needed}")
    return kind


def read_published(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint file, on the CPU; nothing in the file is executed.

    Args:
        path: a safetensors file, or a file of torch.save that holds a state dict, plain or under one of
            the usual keys such as ``state_dict``. A prefix that wrapping gives to every name is dropped.

    Raises:
        CheckpointError: missing, damaged, not a plain state dict, or holding more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            _require_safe_torch(torch.__version__)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        raise CheckpointError(
            f"{path}: not a file of torch.save, or it holds more than tensors and would have to execute code "
            "to be read, which is refused; save the bare state dict again with torch.save"
        ) from cause
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as cause:
        raise CheckpointError(f"{path}: damaged or not a checkpoint: {cause}") from cause
    state = _plain(_unwrapped(content), path)
    return without_prefix(state, set())


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    what: str,
    problem: str = "the tensors do not fit the network",
) -> None:
    """Load exactly these tensors into a module.

    Args:
        what: the file or setting that the tensors come from.
        problem: the error's statement, with the step to take next where one is known.

    Raises:
        CheckpointError: tensors are missing, left over or of another shape; all are named.
    """
    expected = module.state_dict()
    problems = [f"missing: {name}" for name in expected if name not in tensors]
    problems += [f"not used: {name}" for name in tensors if name not in expected]
    problems += [
        f"{name}: shape {tuple(tensors[name].shape)}, needed {tuple(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    if problems:
        raise CheckpointError(f"{what}: {problem}", problems=problems)
    module.load_state_dict(dict(tensors))


def _require_safe_torch(version: str) -> None:
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST_SAFE_TORCH:
        raise CheckpointError(
            f"torch {version} cannot read foreign checkpoints safely; install torch >= 2.10, "
            "or convert the file to safetensors"
        )


def _unwrapped(content: Any) -> Any:
    """The state dict inside a training state, where exactly one of the usual keys holds one at each level."""
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(content, Mapping) or all(isinstance(value, Tensor) for value in content.values()):
            break
        inside = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if len(inside) != 1:
            break
        content = inside[0]
    return content


def without_prefix(state: Mapping[str, Tensor], known: Collection[str]) -> dict[str, Tensor]:
    """A state dict without the prefix that wrapping gave to all of its names.

    Args:
        known: the network's own names; a prefix that is part of them stays.
    """
    tensors = dict(state)
    while prefix := next((p for p in _PREFIXES if tensors and all(n.startswith(p) for n in tensors)), ""):
        if any(name.startswith(prefix) for name in known):
            break
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _plain(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds {type(content).__name__}, not a state dict")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        raise CheckpointError(
            f"{path}: not a plain state dict; save the one inside it with torch.save",
            problems=[f"no tensor: {name}" for name in others] or ["empty"],
        )
    return {str(name): value for name, value in content.items()}
