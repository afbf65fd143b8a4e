"""Published MVANet checkpoints: their tensor names, old and new, read completely."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from edgeflow.errors import CheckpointError
from edgeflow_export.models.mvanet import MVANet
from edgeflow_export.weight_files import load_strictly, require_kind

__all__ = ["published_mvanet"]

_LOG = logging.getLogger(__name__)
_POSITION_INDEX = re.compile(r"backbone\..*\.relative_position_index")
_TRAINING_HEAD = re.compile(r"sideout[1-5]\.0\.(weight|bias)")
_OLD_NAME = re.compile(r"multifieldcrossatt\.linear([12])\.(weight|bias)")


def published_mvanet(state: Mapping[str, Tensor]) -> MVANet:
    """The network with the weights of a published state dict, in evaluation mode.

    MCLM's first feed-forward net may be named ``linear1``/``linear2`` (older weights) or
    ``linear5``/``linear6``. Side outputs, which only training uses, are left out and logged.

    Raises:
        CheckpointError: another network's checkpoint, or tensors missing, left over, doubled or of
            another shape; all are named.
    """
    require_kind(state, "mvanet")
    network = MVANet()
    load_strictly(network, _translated(state, network), what="MVANet checkpoint")
    return network.eval()


def _translated(state: Mapping[str, Tensor], network: MVANet) -> dict[str, Tensor]:
    computed = dict(network.named_buffers())
    problems: list[str] = []
    heads: list[str] = []
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _TRAINING_HEAD.fullmatch(name):
            heads.append(name)
        elif _POSITION_INDEX.fullmatch(name) and name in computed:
            # The network derives these itself: they carry no weights, but must agree.
            if not torch.equal(tensor, computed[name]):
                problems.append(f"{name}: not the index of 12x12 windows")
        elif (new := _new_name(name)) != name and new in state:
            problems.append(f"{name}: doubled by {new}")
        else:
            result[new] = tensor
    if problems:
        raise CheckpointError("MVANet checkpoint: the tensors do not fit the network", problems=problems)
    if heads:
        _LOG.info("MVANet checkpoint: side outputs for training are not used: %s", ", ".join(heads))
    return result


def _new_name(name: str) -> str:
    match = _OLD_NAME.fullmatch(name)
    return name if match is None else f"multifieldcrossatt.linear{int(match[1]) + 4}.{match[2]}"
