"""Patch memory: distances against brute force, its inference form against itself, and its graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import openvino as ov
import pytest
import torch
from torch import Tensor, nn

from edgeflow_export.conversion.int8 import Int8Options, groups_of_onnx
from edgeflow_export.conversion.onnx_and_ir import FEATURES, MAPS, convert_to_ir, export_onnx
from edgeflow_export.conversion.rewriting.nearest_patch import PIECE, NearestPatch
from edgeflow_export.models.patch_memory import MemoryShape, PatchMemory, chunk_size

VIEWS, CHANNELS, PATCHES, HEIGHT, WIDTH = 3, 6, 40, 5, 7


def memory(*, averaging: bool = True) -> tuple[PatchMemory, Tensor]:
    generator = torch.Generator().manual_seed(4)
    shape = MemoryShape(channels=CHANNELS, views=VIEWS, patches=PATCHES, averaging=averaging)
    made = PatchMemory(shape).eval()
    made.bank.copy_(torch.randn(made.bank.shape, generator=generator))
    return made, torch.randn((VIEWS, CHANNELS, HEIGHT, WIDTH), generator=generator)


def brute_force(made: PatchMemory, features: Tensor) -> npt.NDArray[np.float64]:
    """Pixel by pixel, neighbour by neighbour, patch by patch, in double precision."""
    bank, values = made.bank.numpy().astype(np.float64), features.numpy().astype(np.float64)
    maps = np.empty((VIEWS, HEIGHT, WIDTH))
    for v, y, x in np.ndindex(maps.shape):
        reach = 1 if made.shape.averaging else 0
        rows = range(max(0, y - reach), min(HEIGHT, y + reach + 1))
        columns = range(max(0, x - reach), min(WIDTH, x + reach + 1))
        own = np.mean([values[v, :, r, c] for r in rows for c in columns], axis=0)
        maps[v, y, x] = min(np.sqrt(np.mean((own - patch) ** 2)) for patch in bank[v])
    return maps


@pytest.mark.parametrize("averaging", [True, False])
def test_maps_are_those_of_brute_force(averaging: bool) -> None:
    made, features = memory(averaging=averaging)
    expected = brute_force(made, features)
    with torch.inference_mode():
        np.testing.assert_allclose(made(features).numpy(), expected, rtol=1e-5)
        np.testing.assert_allclose(NearestPatch(made)(features).numpy(), expected, rtol=1e-5)


def test_a_patch_of_the_bank_has_no_distance_and_views_do_not_meet() -> None:
    made, features = memory(averaging=False)
    features[1, :, 2, 3] = made.bank[1, 17]
    features[2, :, 2, 3] = made.bank[1, 17]
    with torch.inference_mode():
        maps = NearestPatch(made)(features)
    assert float(maps[1, 2, 3]) < 1e-3
    assert float(maps[2, 2, 3]) > 0.1


def test_a_bank_in_pieces_gives_the_same_distances() -> None:
    generator = torch.Generator().manual_seed(1)
    side, patches = 64, 2500
    assert chunk_size(side * side) < patches / 2
    assert patches > PIECE
    made = PatchMemory(MemoryShape(channels=3, views=1, patches=patches, averaging=False)).eval()
    made.bank.copy_(torch.randn(made.bank.shape, generator=generator))
    features = torch.randn((1, 3, side, side), generator=generator)
    pixels = features[0].flatten(1).T
    squared = (pixels.unsqueeze(1) - made.bank[0].unsqueeze(0)).square().mean(2)
    expected = squared.amin(1).sqrt().view(1, side, side)
    with torch.inference_mode():
        assert torch.allclose(made(features), expected, rtol=1e-4, atol=1e-4)
        assert torch.allclose(NearestPatch(made)(features), expected, rtol=1e-3, atol=1e-3)


class AsInModel(nn.Module):
    """The memory under the name that it has in a whole model, by which INT8 knows its convolutions."""

    def __init__(self, made: PatchMemory) -> None:
        super().__init__()
        self.flow = NearestPatch(made)

    def forward(self, features: Tensor) -> Tensor:
        return self.flow(features)


def test_onnx_and_openvino_give_the_same_maps(tmp_path: Path) -> None:
    made, features = memory()
    path = tmp_path / "memory.onnx"
    tensors = export_onnx(AsInModel(made).eval(), features, [MAPS], path)
    assert tensors.outputs[0].shape == (VIEWS, HEIGHT, WIDTH)
    expected = brute_force(made, features)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {FEATURES: features.numpy()})[0], expected, rtol=1e-5)
    groups = [f"patch memory of view {view}" for view in range(1, VIEWS + 1)]
    assert [group.name for group in groups_of_onnx(path, Int8Options())] == groups
    compiled = ov.Core().compile_model(convert_to_ir(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(features.numpy())[0], expected, rtol=1e-5)
