"""Published Multi-Flow checkpoints: their tensor names, and the architecture that the names tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.models.multiflow import FlowShape
from edgeflow_export.models.view_graph import ViewGraph, view_graph
from edgeflow_export.weight_files import identify, require_kind

__all__ = ["initial_state", "is_published_multiflow", "published_graph", "published_shape", "published_state"]

PUBLISHED_CLAMP = 1.9
_NET = re.compile(r"^module_list\.(\d+)\.s([12])\.")
_PER_SENDER = ("kernels", "biases")
# A published attention message: our names below `messages.edges` → its names.
_ATTENTION = {
    "attention.in_proj_weight": "att.in_proj_weight",
    "attention.in_proj_bias": "att.in_proj_bias",
    "attention.out_proj.weight": "att.out_proj.weight",
    "attention.out_proj.bias": "att.out_proj.bias",
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
}


def is_published_multiflow(names: set[str]) -> bool:
    """True if tensor names are those of a published Multi-Flow."""
    return identify(names) == "multiflow"


def published_graph(state: Mapping[str, Tensor], graph: str | None = None) -> str:
    """The name of a published state dict's graph.

    Args:
        graph: the name as the user gave it; must not contradict the tensor names.

    Raises:
        CheckpointError: not a published Multi-Flow, or one whose graph cannot be told.
    """
    first = f"module_list.{_blocks(state)[0]}.s1."
    views = sum(1 for name in state if re.fullmatch(re.escape(first) + r"gamma\d+", name))
    return graph or _graph_name(state, first, views)


def published_shape(state: Mapping[str, Tensor], *, graph: str | None = None) -> FlowShape:
    """The architecture of a published state dict, read from its names and tensor shapes.

    Args:
        graph: the graph's name. The tensor names tell it, but for one case: ``cs_att_cross`` and
            ``cs_att_self`` have the same names, so one of them has to be given.

    Raises:
        CheckpointError: not a published Multi-Flow, or one whose graph is refused or cannot be told.
        ConfigError: the given graph is unknown or refused.
    """
    blocks = _blocks(state)
    first = f"module_list.{blocks[0]}.s1."
    views = sum(1 for name in state if re.fullmatch(re.escape(first) + r"gamma\d+", name))
    try:
        hidden, inputs = state[f"{first}conv_scale0_0.weight"].shape[:2]
        channels = state[f"{first}conv_scale0_1.weight"].shape[0]
        kernels = tuple(int(state[f"module_list.{b}.s1.conv_scale0_0.weight"].shape[-1]) for b in blocks)
    except KeyError as cause:
        raise CheckpointError(f"published Multi-Flow checkpoint lacks {cause}") from cause
    return FlowShape(
        channels=channels,
        hidden=hidden,
        kernels=kernels,
        clamp=PUBLISHED_CLAMP,
        conditioned=inputs == channels // 2 + 1,
        graph=view_graph(graph, views) if graph else _told_graph(state, first, views),
    )


def initial_state(state: Mapping[str, Tensor], shape: FlowShape, graph: str) -> dict[str, Tensor]:
    """Published tensors for a flow that goes on from them, under this project's names.

    Raises:
        CheckpointError: they are of another architecture; every difference is named.
    """
    found = published_shape(state, graph=published_graph(state, graph))
    problems = [
        f"{field.name}: {getattr(found, field.name)}, the recipe needs {getattr(shape, field.name)}"
        for field in fields(FlowShape)
        if getattr(found, field.name) != getattr(shape, field.name)
    ]
    if problems:
        raise CheckpointError("training.initial: a flow of another architecture", problems=problems)
    return published_state(state, shape)


def published_state(state: Mapping[str, Tensor], shape: FlowShape) -> dict[str, Tensor]:
    """The published tensors under this project's names; every one is used.

    Raises:
        CheckpointError: tensors are missing or left over; all are named.
    """
    source = dict(state)
    problems: list[str] = []
    result: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        if name not in source:
            problems.append(f"missing: {name}")
            return torch.zeros(1)
        return source.pop(name)

    for block, index in enumerate(_blocks(state)):
        for net in (1, 2):
            prefix = f"module_list.{index}.s{net}."
            for name, tensors in _net_tensors(shape.graph, prefix).items():
                parts = [take(tensor) for tensor in tensors]
                if len({part.shape for part in parts}) > 1:
                    problems.append(f"not of one shape, or missing: {', '.join(tensors)}")
                elif not problems:
                    join = torch.stack if name.startswith(_PER_SENDER) else torch.cat
                    result[f"blocks.{block}.net{net}.{name}"] = join(parts)
    problems += [f"not used: {name}" for name in sorted(source)]
    if problems:
        raise CheckpointError("published Multi-Flow checkpoint does not fit its graph", problems=problems)
    return result


def _net_tensors(graph: ViewGraph, prefix: str) -> dict[str, list[str]]:
    """Our tensor name → the published tensors it consists of, for one net."""
    views = range(graph.views)
    tensors = {
        "gamma": [f"{prefix}gamma{v}" for v in views],
        "first.weight": [f"{prefix}conv_scale{v}_0.weight" for v in views],
        "first.bias": [f"{prefix}conv_scale{v}_0.bias" for v in views],
    }
    for v in views:
        messages = {u: f"{prefix}{_message_name(graph, u, v)}" for u in graph.senders[v]}
        attended = graph.message != "convolution"
        convs = [f"{prefix}conv_scale{v}_1"]
        convs += [f"{message}.conv" if attended else message for message in messages.values()]
        tensors[f"kernels.{v}"] = [f"{conv}.weight" for conv in convs]
        tensors[f"biases.{v}"] = [f"{conv}.bias" for conv in convs]
        for u, message in messages.items() if attended else ():
            for ours, theirs in _ATTENTION.items():
                tensors[f"messages.edges.{u}to{v}.{ours}"] = [f"{message}.{theirs}"]
    return tensors


def _message_name(graph: ViewGraph, sender: int, receiver: int) -> str:
    if graph.wrapped:
        direction = "down" if (sender + 1) % graph.views == receiver else "up"
        return f"{direction}_conv{sender}{receiver}"
    if sender == 0:
        return f"topview_up{receiver - 1}"
    return f"topview_down{sender - 1}" if receiver == 0 else f"cross_conv{sender}{receiver}"


def _told_graph(state: Mapping[str, Tensor], prefix: str, views: int) -> ViewGraph:
    try:
        return view_graph(_graph_name(state, prefix, views), views)
    except ConfigError as cause:
        raise CheckpointError(f"published Multi-Flow checkpoint: {cause}") from cause


def _graph_name(state: Mapping[str, Tensor], prefix: str, views: int) -> str:
    names = {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    kinds = {re.sub(r"\d+(_\d)?$", "", name) for name in names}
    has_star, has_ring = "topview_up" in kinds, "cross_conv" in kinds
    if any(name.startswith(prefix) and ".att." in name for name in state):
        raise CheckpointError(
            "published Multi-Flow checkpoint with attention messages: its tensor names do not tell "
            "cs_att_cross from cs_att_self; say which as the graph"
        )
    if "up_conv" in kinds:
        # The naive chain lacks the edge that closes the ring.
        return "cs_wrapped" if f"down_conv{views - 1}0" in names else "cs_naive"
    if has_star:
        return "cs_neigh" if has_ring else "cs_top"
    return "cs_neigh_only" if has_ring else "cs_seperated"


def _blocks(state: Mapping[str, Tensor]) -> list[int]:
    require_kind(state, "multiflow")
    return sorted({int(match.group(1)) for name in state if (match := _NET.match(name))})
