"""A stem that takes 8-bit values: the normalisation of images folded into the first convolution.

The convolution pads what is normalised with zeros; images as they are, it pads with the colour that
normalisation makes zero, so that borders keep their numbers. The first convolution is found by watching
the extractor compute, and the result is verified: an extractor of any other make stays as it is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgeflow.contracts.parity import relative_error
from edgeflow_export.features.timm_extractor import TimmLayer

__all__ = ["EightBitStem", "with_eight_bit_stem"]

TOLERANCE = 1e-5
_TAKEN = ("aten.constant_pad_nd.default", "aten.convolution.default")


@dataclass(frozen=True, kw_only=True)
class _Convolution:
    """A convolution as it was computed.

    Attributes:
        pads: values of zero before and after each row, and above and below: left, right, top, bottom.
    """

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[int, int, int, int]


class _NotFoundError(Exception):
    """An extractor whose first convolution cannot be changed; says why."""


class EightBitStem(nn.Module):
    """The first convolution on values of 0 to 255, (N, 3, H, W) stored channels-last.

    Args:
        scale, offset: (3,), of the normalisation ``x * scale + offset``.
    """

    weight: Tensor
    bias: Tensor
    colour: Tensor

    def __init__(self, found: _Convolution, scale: Tensor, offset: Tensor) -> None:
        super().__init__()
        weight, scale, offset = found.weight.double(), scale.double(), offset.double()
        bias = (weight * offset.view(1, 3, 1, 1)).sum((1, 2, 3))
        if found.bias is not None:
            bias = bias + found.bias.double()
        self.stride, self.dilation, self.pads = found.stride, found.dilation, found.pads
        self.register_buffer("weight", (weight * scale.view(1, 3, 1, 1)).float())
        self.register_buffer("bias", bias.float())
        self.register_buffer("colour", (-offset / scale).float())

    def forward(self, x: Tensor) -> Tensor:
        """Images to the first convolution's output."""
        left, right, top, bottom = self.pads
        framed = self._framed(self._framed(x.permute(0, 2, 3, 1), 1, top, bottom), 2, left, right)
        return F.conv2d(
            framed.permute(0, 3, 1, 2), self.weight, self.bias, stride=self.stride, dilation=self.dilation
        )

    def extra_repr(self) -> str:
        """All that decides the result besides the tensors."""
        return f"stride={self.stride}, dilation={self.dilation}, pads={self.pads}"

    def _framed(self, x: Tensor, axis: int, before: int, after: int) -> Tensor:
        """Images (N, H, W, 3) with the mean colour before and after one axis.

        The frame is made of the images themselves, so that the graph holds no number of images.
        """
        frame = x.narrow(axis, 0, 1) * 0 + self.colour
        joined = [*[frame] * before, x, *[frame] * after]
        return torch.cat(joined, dim=axis) if len(joined) > 1 else x


def with_eight_bit_stem(
    extractor: nn.Module, scale: Tensor, offset: Tensor, size: tuple[int, int]
) -> tuple[nn.Module | None, str]:
    """A copy of an extractor that takes images (N, 3, H, W) of 0 to 255, and an empty text.

    Where its first convolution cannot be changed: None, and the reason.

    Args:
        scale, offset: (1, 3, 1, 1), of the normalisation ``x * scale + offset`` before the extractor.
        size: height and width of the images.
    """
    values = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0)).float()
    normalised = values * scale + offset
    try:
        with torch.no_grad():
            changed = _changed(extractor, normalised, scale.flatten(), offset.flatten())
            error = relative_error(changed(values).numpy(), extractor(normalised).numpy())
    except _NotFoundError as reason:
        return None, str(reason)
    except Exception as cause:  # noqa: BLE001 - a user's own module may fail in any way when it is changed
        return None, f"the extractor cannot be changed: {type(cause).__name__}: {cause}".splitlines()[0]
    if not error <= TOLERANCE:
        return None, f"changed, the extractor would differ by {error:.1g}"
    return changed, ""


def _changed(extractor: nn.Module, normalised: Tensor, scale: Tensor, offset: Tensor) -> nn.Module:
    changed = copy.deepcopy(extractor)
    if isinstance(changed, TimmLayer) and changed.normalises:
        own_scale, own_shift = (values.flatten() for values in changed.own_normalisation())
        changed.normalises = False
        normalised = normalised * own_scale.view(1, 3, 1, 1) + own_shift.view(1, 3, 1, 1)
        scale, offset = scale * own_scale, offset * own_scale + own_shift
    name = _first_module(changed, normalised)
    stem = EightBitStem(_convolution(changed.get_submodule(name), normalised), scale, offset)
    if not name:
        return stem
    changed.set_submodule(name, stem)
    return changed.eval().requires_grad_(requires_grad=False)


def _first_module(extractor: nn.Module, normalised: Tensor) -> str:
    """Name of the innermost module that is given the images themselves."""
    entered: list[str] = []

    def watch(name: str) -> Any:
        def note(_module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and given[0] is normalised:
                entered.append(name)

        return note

    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in extractor.named_modules()]
    try:
        extractor(normalised)
    finally:
        for hook in hooks:
            hook.remove()
    found = entered[0]
    for name in entered[1:]:
        if found and not name.startswith(f"{found}."):
            break
        found = name
    return found


def _convolution(module: nn.Module, normalised: Tensor) -> _Convolution:
    """The convolution that a module consists of.

    Raises:
        _NotFoundError: it does something else, or something more.
    """
    with _Operations() as watched:
        module(normalised)
    *before, last = watched.found or [("nothing", ())]
    names = [name for name, _ in watched.found]
    if names not in (list(_TAKEN), [_TAKEN[1]]):
        raise _NotFoundError("its first module is not a convolution alone")
    _, weight, bias, stride, padding, dilation, transposed, _, groups = last[1]
    left, right, top, bottom = _pads(*before[0][1]) if before else (0, 0, 0, 0)
    if transposed or groups != 1 or weight.shape[1] != 3 or min(left, right, top, bottom) < 0:
        raise _NotFoundError("its first convolution is not a plain one over three colours")
    rows, columns = padding
    return _Convolution(
        weight=weight.detach(),
        bias=None if bias is None else bias.detach(),
        stride=tuple(stride),
        dilation=tuple(dilation),
        pads=(left + columns, right + columns, top + rows, bottom + rows),
    )


def _pads(_x: Tensor, pads: list[int], value: float = 0.0) -> tuple[int, int, int, int]:
    if value or len(pads) != 4:
        raise _NotFoundError("its first convolution pads with another value than zero")
    left, right, top, bottom = pads
    return left, right, top, bottom


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that are computed, with their arguments."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found.append((str(func), args))
        return func(*args, **(kwargs or {}))
