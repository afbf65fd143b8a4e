"""A foreground network in fewer bits: kept where its masks stay within budget, refused where it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.mask_postprocessing import foreground_masks
from edgeflow.errors import ConfigError
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.cli.export import ExportChoices
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource, draft_onnx
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND
from edgeflow_export.data.dataset import load_dataset, load_images
from edgeflow_export.foreground.choice import ForegroundData
from edgeflow_export.foreground.reduced_precision import reduce_network, require_bf16
from edgeflow_export.models.foreground_net import ForegroundNet
from edgeflow_export.models.mvanet import MVANet
from tests.support import tiny as product
from tests.support.tiny import SIZE, TinyProduct

MAP = 8


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


class Brighter(nn.Module):
    """Logits (N, 1, H, W): how much brighter a pixel's surroundings are than the middle of the ramp."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = nn.Conv2d(3, 4, 5, padding=2)
        self.decide = nn.Conv2d(4, 1, 1)
        with torch.no_grad():
            self.gather.weight.fill_(1 / 75)
            self.gather.bias.copy_(torch.tensor([0.0, 0.3, 0.6, 0.9]))
            self.decide.weight.fill_(1.0)
            self.decide.bias.fill_(-4.2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.decide(torch.relu(self.gather(x) + 0.6))
        return logits


class Line:
    """The tiny product with such a network as its foreground."""

    def __init__(self, tiny: TinyProduct, folder: Path) -> None:
        with product.tests_on_path():
            model = load_checkpoint(tiny.checkpoint)
        self.data = load_dataset(model.recipe)
        self.job = ExportJob(model=model, data=self.data, stage=silent, folder=folder)
        network = ForegroundNet(cast(MVANet, Brighter()), augmentation=False).eval()
        self.source: OnnxSource = draft_onnx(
            network,
            torch.zeros((1, SIZE, SIZE, 3), dtype=torch.uint8),
            (FOREGROUND,),
            self.job,
            prefix="foreground/",
        )
        (self.fp32,) = self.source.drafts(("openvino",), ("fp32",))
        self.truth = np.stack(
            [
                foreground_masks(network(torch.from_numpy(load_images(part, self.data))).numpy(), MAP, MAP)
                for part in self.job.parts
            ]
        )

    def asked(self, precision: str, **export: object) -> ExportJob:
        recipe = self.job.model.recipe
        changed = recipe.model_copy(
            update={
                "foreground": recipe.foreground.model_copy(update={"precision": precision}),
                "export": recipe.export.model_copy(update=export),
            }
        )
        return replace(self.job, model=replace(self.job.model, recipe=changed))

    def evidence(self, *, min_iou: float) -> ForegroundData:
        return ForegroundData(
            maps=np.random.default_rng(1).uniform(0, 1, self.truth.shape).astype(np.float32),
            truth=self.truth,
            scoring=Scoring(view="mean"),
            normal=len(self.data.validation),
            rate=0.05,
            min_iou=min_iou,
            max_flip_rate=0.2,
        )


@pytest.fixture(scope="module")
def line(tiny: TinyProduct, tmp_path_factory: pytest.TempPathFactory) -> Line:
    with torch.inference_mode():
        return Line(tiny, tmp_path_factory.mktemp("network"))


def masks_of(draft: CandidateGraph, line: Line) -> np.ndarray:
    runner = draft.runner()
    return np.stack(
        [
            np.concatenate(
                [
                    foreground_masks(runner.run(view[np.newaxis])[0], MAP, MAP)
                    for view in load_images(part, line.data)
                ]
            )
            for part in line.job.parts
        ]
    )


def test_int8_network_within_budget_is_kept_with_the_masks_that_it_gives(line: Line) -> None:
    assert 0.1 < line.truth.mean() < 0.9
    found, note = reduce_network(line.asked("int8"), line.source, SIZE, line.evidence(min_iou=0.8))
    assert found is not None
    assert found.draft.id == "openvino-int8"
    assert note.startswith("network in int8 convolutions and products: IoU 0.")
    np.testing.assert_array_equal(found.masks, masks_of(found.draft, line))
    assert (found.masks != line.truth).any()  # it is another network


def test_over_budget_the_network_stays_in_float_and_the_bundle_says_so(line: Line) -> None:
    found, note = reduce_network(line.asked("int8"), line.source, SIZE, line.evidence(min_iou=0.99999))
    if computes_in_bf16() and found is not None:
        assert found.draft.precision == "bf16"
        return
    assert found is None
    assert note.startswith("network in fp32; not kept: int8 convolutions and products: IoU 0.")
    assert "; int8 convolutions: IoU 0." in note


@pytest.mark.skipif(computes_in_bf16(), reason="this processor computes in bf16")
def test_bf16_is_refused_where_the_processor_only_imitates_it(tiny: TinyProduct, tmp_path: Path) -> None:
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
    asked = replace(model, recipe=ExportChoices(precision="bf16").applied(model.recipe))
    with pytest.raises(ConfigError, match=r"export.precisions: this processor does not compute in bf16"):
        build_bundle(asked, load_dataset(asked.recipe), tmp_path / "disc.bundle", silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not computes_in_bf16(), reason="this processor does not compute in bf16")
def test_bf16_network_is_kept_where_the_processor_computes_in_it(line: Line) -> None:
    require_bf16("foreground.precision")
    found, note = reduce_network(line.asked("bf16"), line.source, SIZE, line.evidence(min_iou=0.9))
    assert found is not None
    assert note.startswith("network in bf16: IoU")
