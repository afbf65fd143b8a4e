"""Swin-B as MVANet's encoder: five maps of an image, from stride 4 to stride 32 (arXiv 2103.14030)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["STRIDE", "SwinEncoder"]

WINDOW = 12
SHIFT = WINDOW // 2
STRIDE = 32
WIDTHS = (128, 256, 512, 1024)
DEPTHS = (2, 2, 18, 2)
HEADS = (4, 8, 16, 32)
OTHER_REGION = -100.0  # the published offset between tokens that only the cyclic shift made neighbours


class SwinEncoder(nn.Module):
    """The published encoder; attributes carry the published tensor names.

    It differs from common Swin code in that windows keep their 12x12 tokens and every second block is
    shifted even where the map is smaller than a window: maps are filled up with zeros, which take part
    in the attention.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(WIDTHS[0])
        self.layers = nn.ModuleList(
            _Stage(width, depth, heads, last=width == WIDTHS[-1])
            for width, depth, heads in zip(WIDTHS, DEPTHS, HEADS, strict=True)
        )
        for index, width in enumerate(WIDTHS):
            self.add_module(f"norm{index}", nn.LayerNorm(width))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W), sides multiples of 32, to five maps (N, C, h, w).

        C, stride: 128, 4 (the patch embedding, before any block); then the four stages, normalised:
        128, 4; 256, 8; 512, 16; 1024, 32.
        """
        x = self.patch_embed(images)
        maps = [x]
        for index, stage in enumerate(self.layers):
            x = stage(x)
            maps.append(self.get_submodule(f"norm{index}")(x))
            if stage.downsample is not None:
                x = stage.downsample(x)  # type: ignore[operator]
        return [m.permute(0, 3, 1, 2).contiguous() for m in maps]


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=4, stride=4)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        embedded: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return embedded


class _Stage(nn.Module):
    """Blocks at one stride, on maps (N, h, w, C); every second one shifted."""

    def __init__(self, width: int, depth: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads, shifted=index % 2 == 1) for index in range(depth))
        self.downsample = None if last else _PatchMerging(width)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (_filled_up(int(size)) for size in x.shape[1:3])
        mask = _shift_mask(height, width, x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class _PatchMerging(nn.Module):
    """Four neighbouring tokens to one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged


class _Block(nn.Module):
    """Attention within (shifted) windows, then a feed-forward net, each around a shortcut."""

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.shift = SHIFT if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _FeedForward(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = (int(size) for size in x.shape[1:3])
        filled = F.pad(self.norm1(x), (0, 0, 0, _filled_up(width) - width, 0, _filled_up(height) - height))
        if self.shift:
            filled = filled.roll((-self.shift, -self.shift), dims=(1, 2))
        attended = _from_windows(
            self.attn(_to_windows(filled), mask if self.shift else None),
            _filled_up(height),
            _filled_up(width),
        )
        if self.shift:
            attended = attended.roll((self.shift, self.shift), dims=(1, 2))
        x = x + attended[:, :height, :width]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _WindowAttention(nn.Module):
    """Multi-head attention among the tokens of a window, with a bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_positions(), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (N, windows, 144, C) and mask (windows, 1, 144, 144) to tokens of the same shape."""
        tokens = x.shape[2]
        qkv = torch.unflatten(self.qkv(x), -1, (3, self.heads, -1))
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1)
        scores = (q * self.scale) @ k.transpose(-2, -1) + bias
        if mask is not None:
            scores = scores + mask
        attended = scores.softmax(-1) @ v
        out: Tensor = self.proj(attended.transpose(2, 3).flatten(3))
        return out


def _filled_up(size: int) -> int:
    return -(-size // WINDOW) * WINDOW


def _to_windows(x: Tensor) -> Tensor:
    """(N, h, w, C) to (N, windows, 144, C)."""
    cut = torch.unflatten(torch.unflatten(x, 2, (-1, WINDOW)), 1, (-1, WINDOW))
    return cut.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)


def _from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """(N, windows, 144, C) to (N, height, width, C)."""
    grid = torch.unflatten(windows, 1, (height // WINDOW, width // WINDOW))
    grid = torch.unflatten(grid, 3, (WINDOW, WINDOW))
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)


def _relative_positions() -> Tensor:
    """For each pair of window tokens (144, 144) the row of the bias table."""
    index = torch.arange(WINDOW)
    offset = index[:, None] - index[None, :] + WINDOW - 1
    rows = offset[:, None, :, None] * (2 * WINDOW - 1) + offset[None, :, None, :]
    return rows.reshape(WINDOW**2, WINDOW**2)


def _shift_mask(height: int, width: int, like: Tensor) -> Tensor:
    """Added to the scores of shifted windows (windows, 1, 144, 144), so that regions keep to themselves."""
    regions = [_regions(size, like.device) for size in (height, width)]
    region = (3 * regions[0][:, None] + regions[1][None, :]).view(1, height, width, 1)
    windows = _to_windows(region)[0, :, :, 0]
    apart = windows[:, :, None] != windows[:, None, :]
    return (apart.to(like.dtype) * OTHER_REGION).unsqueeze(1)


def _regions(size: int, device: torch.device) -> Tensor:
    """0 for all but the last window, 1 for its first half, 2 for the half that the shift wraps around."""
    bounds = (0, size - WINDOW, size - SHIFT, size)
    return torch.cat(
        [
            torch.full((stop - start,), region, dtype=torch.int64, device=device)
            for region, (start, stop) in enumerate(pairwise(bounds))
        ]
    )
