"""Each graph alone: what it computes, and that the graphs together are the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from edgeflow.errors import ConfigError, ParityError
from edgeflow_export.bundling.single_graph import export_alone
from edgeflow_export.checkpoints.checkpoint import TrainedModel, load_checkpoint
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.data.dataset import Dataset, load_dataset, load_images
from edgeflow_export.masks.teachers import NetworkTeacher
from edgeflow_export.models.foreground_net import ForegroundNet
from edgeflow_export.models.mvanet import MVANet
from edgeflow_export.recipe import ForegroundSpec
from tests.support import tiny as product
from tests.support.tiny import TinyProduct


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


def job_of(model: TrainedModel, data: Dataset, folder: Path, **export: object) -> ExportJob:
    spec = model.recipe.export.model_copy(update={"backends": ("onnxruntime",), **export})
    model = replace(model, recipe=model.recipe.model_copy(update={"export": spec}))
    return ExportJob(model=model, data=data, stage=silent, folder=folder)


def test_features_then_flow_give_the_maps_of_the_whole(tiny: TinyProduct, tmp_path: Path) -> None:
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
    data = load_dataset(model.recipe)
    out = tmp_path / "graphs"
    for only in ("features", "flow", "maps"):
        export_alone(job_of(model, data, tmp_path, precisions=("fp32",)), None, only, out)
    sessions = {
        only: ort.InferenceSession(out / f"{only}-onnx-fp32.onnx") for only in ("features", "flow", "maps")
    }
    images = load_images(data.test[-1], data)
    (features,) = sessions["features"].run(None, {"images": images})
    (maps,) = sessions["flow"].run(None, {"features": features})
    (whole,) = sessions["maps"].run(None, {"images": images})
    np.testing.assert_allclose(maps, whole, rtol=1e-4, atol=1e-5)
    document = json.loads((out / "flow.json").read_text())
    assert document["forms"][0]["measured_error"] < 1e-5
    assert document["forms"][0]["input"] == {"name": "features", "dtype": "float32", "shape": [3, 8, 8, 8]}


class Redness(nn.Module):
    """A network with MVANet's form: normalised images (N, 3, S, S) to logits (N, 1, S, S)."""

    def __init__(self) -> None:
        super().__init__()
        self.decide = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.decide.weight.copy_(torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.decide(x)
        return logits


def test_foreground_network_alone_sees_images_of_its_own_size_also_when_quantized(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
    data = load_dataset(model.recipe)
    one = replace(data, views=data.views[:1])  # as many views as images at a time
    spec = ForegroundSpec(kind="mvanet", weights=tmp_path / "Model_80.pth")
    model = replace(model, recipe=model.recipe.model_copy(update={"foreground": spec}))
    network = ForegroundNet(cast(MVANet, Redness()), augmentation=False)
    job = job_of(model, one, tmp_path, precisions=("fp32", "int8"))
    written = export_alone(job, NetworkTeacher(network, 128, identity=""), "foreground", tmp_path / "out")
    assert len(written) == 3
    images = np.zeros((1, 128, 128, 3), np.uint8)
    images[0, :, :64, 0] = images[0, :, 64:, 2] = 200
    for form in ("fp32", "int8"):
        session = ort.InferenceSession(tmp_path / "out" / f"foreground-onnx-{form}.onnx")
        (logits,) = session.run(None, {"images": images})
        assert logits.shape == (1, 128, 128)
        assert (logits[:, :, 64:] < 0).all()
        assert (logits[:, :, :64] > 0).all()


def test_graph_out_of_tolerance_and_graph_that_is_not_there_write_nothing(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
    data = load_dataset(model.recipe)
    strict = job_of(model, data, tmp_path / "work", tolerance_fp32=1e-12)
    with pytest.raises(ParityError, match="flow, onnxruntime-fp32: differs from torch"):
        export_alone(strict, None, "flow", tmp_path / "out")
    with pytest.raises(ConfigError, match="--only foreground: this model has none"):
        export_alone(strict, None, "foreground", tmp_path / "out")
    assert not (tmp_path / "out").exists()
