"""MVANet: foreground logits from close-ups and a distant view of the same image (arXiv 2404.07445)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.errors import DataError
from edgeflow_export.models.attention import SingleHeadAttention
from edgeflow_export.models.swin import STRIDE, SwinEncoder

__all__ = ["SIZE_MULTIPLE", "MVANet"]

WIDTH = 128
HEAD_WIDTH = 384
GRID = 2  # close-ups per side
CLOSE_UPS = GRID * GRID
# A close-up is half the image, and its deepest map is cut in halves once more.
SIZE_MULTIPLE = STRIDE * GRID * GRID

# All maps of a batch of N images lie in one tensor (5N, C, h, w): the top left close-up of every image, top
# right, bottom left, bottom right, and last the distant view of every image.


class MVANet(nn.Module):
    """The published network for inference; attributes carry the published tensor names.

    Sizes are read as plain integers, so an exported graph holds for one image size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SwinEncoder()
        for level, channels in enumerate((128, 128, 256, 512, 1024), start=1):
            self.add_module(f"output{level}", _conv_norm(channels, WIDTH, nn.PReLU()))
        self.multifieldcrossatt = _Localisation()
        for level in (1, 2, 3, 4):
            self.add_module(f"conv{level}", _conv_norm(WIDTH, WIDTH, nn.PReLU()))
            self.add_module(f"dec_blk{level}", _Refinement())
        self.insmask_head = nn.Sequential(
            *_conv_norm(WIDTH, HEAD_WIDTH, nn.PReLU()),
            *_conv_norm(HEAD_WIDTH, HEAD_WIDTH, nn.PReLU()),
            nn.Conv2d(HEAD_WIDTH, WIDTH, 3, padding=1),
        )
        self.shallow = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1))
        self.upsample1 = _conv_norm(WIDTH, WIDTH, nn.GELU())
        self.upsample2 = _conv_norm(WIDTH, WIDTH, nn.GELU())
        self.output = nn.Sequential(nn.Conv2d(WIDTH, 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to foreground logits (N, 1, H, W).

        Raises:
            DataError: a side is no multiple of 128.
        """
        _check_size(images)
        distant = F.interpolate(images, scale_factor=1 / GRID, mode="bilinear", align_corners=False)
        maps = self.backbone(torch.cat([_cut(images), distant]))
        x = self.multifieldcrossatt(self._side(5, maps[4]))
        for level in (4, 3, 2, 1):
            side = self._side(level, maps[level - 1])
            refine, conv = self.get_submodule(f"dec_blk{level}"), self.get_submodule(f"conv{level}")
            x = conv(refine(side + _resized(x, side)))
        return self._logits(x, images)

    def _side(self, level: int, encoded: Tensor) -> Tensor:
        side: Tensor = self.get_submodule(f"output{level}")(encoded)
        return side

    def _logits(self, x: Tensor, images: Tensor) -> Tensor:
        """The paper's view rearrangement: both kinds of view as one map, enlarged with shallow features."""
        shallow = self.shallow(images)
        close, distant = _split(x)
        whole = _assemble(close)
        merged = self.insmask_head(whole + _resized(distant, whole))
        merged = merged + _resized(shallow, merged)
        merged = self.upsample1(F.interpolate(merged, scale_factor=2, mode="nearest"))
        merged = merged + _resized(shallow, merged)
        merged = self.upsample2(F.interpolate(merged, scale_factor=2, mode="nearest"))
        logits: Tensor = self.output(merged)
        return logits


class _Localisation(nn.Module):
    """MCLM (localisation): the distant view looks at the close-ups, then each of them at its quadrant."""

    ratios = (1, 4, 8)

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(SingleHeadAttention(WIDTH) for _ in range(1 + CLOSE_UPS))
        self.linear3 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear4 = nn.Linear(2 * WIDTH, WIDTH)
        self.linear5 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear6 = nn.Linear(2 * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(5N, C, h, w) to the same shape."""
        close, distant = _split(x)
        height, width = (int(size) for size in x.shape[-2:])
        whole = _assemble(close)
        pools = [F.adaptive_avg_pool2d(whole, size) for size in _pooled_sizes(height, width, self.ratios)]
        values = torch.cat([_tokens(pool) for pool in pools], dim=1)
        positions = torch.cat([_positions(pool) for pool in pools], dim=1)
        seen = _tokens(distant)
        seen = self.norm1(seen + self.attention[0](seen + _positions(distant), values + positions, values))
        seen = self.norm2(seen + self.linear6(F.relu(self.linear5(seen))))
        refreshed = seen.transpose(1, 2).reshape(distant.shape)

        tokens = _tokens(close)
        tokens = self.norm1(tokens + _per_quadrant(self.attention[1:], tokens, _tokens(_cut(refreshed))))
        tokens = self.norm2(tokens + self.linear4(F.relu(self.linear3(tokens))))
        return torch.cat([tokens.transpose(1, 2).reshape(close.shape), refreshed])


class _Refinement(nn.Module):
    """MCRM (refinement): close-ups, gated by the distant saliency, look at their pooled quadrant."""

    ratios = (2, 4, 8)

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(SingleHeadAttention(WIDTH) for _ in range(CLOSE_UPS))
        self.linear3 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear4 = nn.Linear(2 * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.sal_conv = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(5N, C, h, w) to the same shape."""
        close, distant = _split(x)
        height, width = (int(size) for size in x.shape[-2:])
        saliency = torch.sigmoid(self.sal_conv(distant))
        close = close * _cut(F.interpolate(saliency, size=(GRID * height, GRID * width), mode="nearest"))
        quadrants = _cut(distant)
        sizes = _pooled_sizes(height, width, self.ratios)
        pools = torch.cat([_tokens(F.adaptive_avg_pool2d(quadrants, size)) for size in sizes], dim=1)
        tokens = _tokens(close)
        tokens = self.norm1(tokens + _per_quadrant(self.attention, tokens, pools))
        tokens = self.norm2(tokens + self.linear4(F.relu(self.linear3(tokens))))
        close = tokens.transpose(1, 2).reshape(close.shape)
        distant = distant + F.interpolate(_assemble(close), size=(height, width), mode="nearest")
        return torch.cat([close, distant])


def _conv_norm(inputs: int, outputs: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), activation)


def _check_size(images: Tensor) -> None:
    height, width = (int(size) for size in images.shape[-2:])
    if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise DataError(
            f"MVANet needs image sides that are multiples of {SIZE_MULTIPLE}, got {width}x{height}; "
            "resize the image (published: 1024x1024)"
        )


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """(5N, ...) to close-ups (4N, ...) and distant views (N, ...)."""
    parts = x.chunk(CLOSE_UPS + 1)
    return torch.cat(parts[:-1]), parts[-1]


def _cut(x: Tensor) -> Tensor:
    """(N, C, 2h, 2w) to its quadrants (4N, C, h, w)."""
    grid = torch.unflatten(torch.unflatten(x, 3, (GRID, -1)), 2, (GRID, -1))
    return grid.permute(2, 4, 0, 1, 3, 5).flatten(0, 2)


def _assemble(quadrants: Tensor) -> Tensor:
    """Quadrants (4N, C, h, w) to (N, C, 2h, 2w)."""
    grid = torch.unflatten(quadrants, 0, (GRID, GRID, -1))
    return grid.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)


def _tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) to (N, h*w, C)."""
    return x.flatten(2).transpose(1, 2)


def _per_quadrant(attentions: nn.ModuleList, queries: Tensor, keys: Tensor) -> Tensor:
    """Attention of each quadrant, with weights of its own; queries (4N, L, C), keys (4N, S, C)."""
    pairs = zip(attentions, queries.chunk(CLOSE_UPS), keys.chunk(CLOSE_UPS), strict=True)
    return torch.cat([attention(query, key, key) for attention, query, key in pairs])


def _resized(x: Tensor, like: Tensor) -> Tensor:
    size = (int(like.shape[-2]), int(like.shape[-1]))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _pooled_sizes(height: int, width: int, ratios: tuple[int, ...]) -> list[tuple[int, int]]:
    """Sizes of the pooled maps; one that the published rounding makes empty has no tokens, as published."""
    sizes = [(_half_to_even(height, ratio), _half_to_even(width, ratio)) for ratio in ratios]
    return [size for size in sizes if min(size) > 0]


def _half_to_even(size: int, ratio: int) -> int:
    quotient, rest = divmod(size, ratio)
    return quotient + (2 * rest > ratio or (2 * rest == ratio and quotient % 2 == 1))


def _positions(x: Tensor) -> Tensor:
    """Sine encoding of the pixels of a map (N, C, h, w) as tokens (1, h*w, C): rows first, then columns."""
    height, width = (int(size) for size in x.shape[-2:])
    rows, columns = _sine(height, x)[:, None], _sine(width, x)[None, :]
    encoded = torch.cat([rows.expand(-1, width, -1), columns.expand(height, -1, -1)], dim=-1)
    return encoded.flatten(0, 1).unsqueeze(0)


def _sine(count: int, like: Tensor) -> Tensor:
    """Encoding (count, C/2) of pixel centres: sine and cosine in turn, wavelengths from 2 pi to 20000 pi."""
    features = int(like.shape[1]) // 2
    centres = (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / (count + 1e-6)
    exponents = torch.arange(0, features, 2, dtype=like.dtype, device=like.device) / features
    angles = (centres * (2 * torch.pi)).unsqueeze(1) / 10000**exponents
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
