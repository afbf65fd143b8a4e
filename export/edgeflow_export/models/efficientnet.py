"""The published feature extractor: EfficientNet-B5 up to block 35 of 39 (arXiv 2504.03306)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.errors import CheckpointError
from edgeflow_export.weight_files import load_strictly, require_kind

__all__ = ["CHANNELS", "STRIDE", "EfficientNetB5", "published_efficientnet", "timm_name"]

CHANNELS = 304
STRIDE = 32
KEPT_STAGES = 6  # blocks 0..35 of 39
STAGE_BLOCKS = (3, 5, 5, 7, 7, 9, 3)
TRAINED_SIZE = 456

# Layers of a block: published name → timm's. The first stage's blocks do not widen: timm numbers their
# normalisations from the depthwise convolution on.
_WIDENING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = _WIDENING | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_END = re.compile(r"(_\w+)\.(\w+)")
_BEHIND = re.compile(r"(blocks\.6\.[0-2]|conv_head|bn2|classifier)\..+")


class EfficientNetB5(nn.Module):
    """Normalised RGB (N, 3, H, W) to features (N, 304, H/32, W/32); timm's layers and names.

    One thing is not timm's: the published extractor pads as images of 456x456 need it, whatever the
    size of the image. There two of the maps have an odd size, so that at 768x768 its features differ
    by 7 % from those with padding for the size at hand.
    """

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's own import notes
            import timm  # noqa: PLC0415 - slow to import, needed by this extractor only
        network = timm.create_model("tf_efficientnet_b5", pretrained=False)
        self.conv_stem = network.conv_stem
        self.bn1 = network.bn1
        self.blocks = network.blocks[:KEPT_STAGES]
        size = TRAINED_SIZE
        for name, conv in list(self.named_modules()):
            if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
                self.set_submodule(name, _PaddedConv(conv, size))
                size = -(-size // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) to the features of the last published block."""
        features: Tensor = self.blocks(self.bn1(self.conv_stem(images)))
        return features


class _PaddedConv(nn.Module):
    """A convolution of stride 2 with the "same" padding of one input size."""

    def __init__(self, conv: nn.Conv2d, size: int) -> None:
        super().__init__()
        self.weight = conv.weight
        self.groups = conv.groups
        kernel = conv.kernel_size[0]
        total = (-(-size // 2) - 1) * 2 + kernel - size
        self.before, self.after = total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.before, self.after, self.before, self.after))
        return F.conv2d(x, self.weight, stride=2, groups=self.groups)


def published_efficientnet(state: Mapping[str, Tensor]) -> EfficientNetB5:
    """The extractor with published weights, frozen and in evaluation mode.

    Args:
        state: EfficientNet-B5 under the names of efficientnet_pytorch or of timm. The layers behind
            block 35 are known and left out, whether all are there or none.

    Raises:
        CheckpointError: another network's checkpoint, or tensors missing, left over or of another shape;
            all are named.
    """
    kind = require_kind(state, "efficientnet_pytorch", "timm")
    named = {timm_name(name) if kind == "efficientnet_pytorch" else name: t for name, t in state.items()}
    if len(named) != len(state):
        raise CheckpointError("EfficientNet-B5 checkpoint: two names for the same tensor")
    network = EfficientNetB5()
    kept = {name: tensor for name, tensor in named.items() if not _BEHIND.fullmatch(name)}
    load_strictly(network, kept, what="EfficientNet-B5 checkpoint")
    return network.eval().requires_grad_(requires_grad=False)


def timm_name(name: str, stage_blocks: Sequence[int] = STAGE_BLOCKS) -> str:
    """Return timm's name of a published tensor; a name that is not the published network's stays as it is.

    Args:
        stage_blocks: how many blocks each stage of the network has.
    """
    if (match := _BLOCK.fullmatch(name)) and int(match[1]) < sum(stage_blocks):
        stage, block = _place(int(match[1]), stage_blocks)
        layers = _WIDENING if stage else _PLAIN
        return f"blocks.{stage}.{block}.{layers[match[2]]}.{match[3]}" if match[2] in layers else name
    if (match := _END.fullmatch(name)) and match[1] in _ENDS:
        return f"{_ENDS[match[1]]}.{match[2]}"
    return name


def _place(index: int, stage_blocks: Sequence[int]) -> tuple[int, int]:
    """Stage and place in it of the block with a running index."""
    for stage, count in enumerate(stage_blocks):
        if index < count:
            return stage, index
        index -= count
    raise ValueError("no such block")
