"""A checkpoint on its test parts, in whatever form, and what stops an evaluation."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import CheckpointError, DataError, DeviceError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.checkpoints.model_source import ModelSource
from edgeflow_export.data.dataset import Images
from edgeflow_export.evaluation.evaluate import evaluate
from edgeflow_export.evaluation.report import EvaluationReport
from edgeflow_export.models import published_multiflow
from edgeflow_export.recipe import load_recipe
from tests.support.tiny import SIZE, VIEWS, TinyProduct, write_parts


def flat(images: Images) -> FloatArray:
    return np.zeros((len(images), 8, 8), np.float32)


def test_checkpoint_is_evaluated_on_its_test_parts(tiny: TinyProduct) -> None:
    evaluation = evaluate(tiny.checkpoint, progress=False)
    report = evaluation.report
    assert report.parts == 12
    assert report.defective_parts == 6
    assert report.part_auroc is not None
    assert report.part_auroc > 0.9
    assert report.pixel_auroc is not None
    assert report.pixel_auroc > 0.9
    assert set(report.classes) == {"spot"}
    assert report.thresholds is not None
    assert report.thresholds.false_reject_rate == 0.05
    assert report.scoring.top_k == 4
    assert report.model.graph == "cs_neigh"
    assert report.model.sha256 == hashlib.sha256(tiny.checkpoint.read_bytes()).hexdigest()
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    # Normal parts take no memory for masks.
    assert [mask.base is not None for mask in evaluation.truth.masks] == [True] * 6 + [False] * 6


def test_another_form_of_the_model_is_measured_the_same_way(tiny: TinyProduct) -> None:
    report = evaluate(tiny.checkpoint, maps_of=flat, progress=False).report
    assert report.part_auroc == 0.5
    assert report.pixel_auroc is not None
    assert report.thresholds is None
    assert "scores are equal" in str(report.thresholds_missing)


def test_map_that_is_not_finite_names_its_part_and_view(tiny: TinyProduct) -> None:
    def broken(images: Images) -> FloatArray:
        maps = flat(images)
        maps[1, 0, 0] = np.nan
        return maps

    with pytest.raises(DataError, match=r"part OK/S0031: its anomaly map is not finite in view C2"):
        evaluate(tiny.checkpoint, maps_of=broken, progress=False)


def test_parts_of_other_cameras_are_refused(tiny: TinyProduct, tmp_path: Path) -> None:
    parts = shutil.copytree(tiny.parts, tmp_path / "parts")
    path = parts / "realiad_jsons" / "disc.json"
    path.write_text(path.read_text().replace("_C3_", "_C4_"))
    for file in parts.rglob("*_C3_*"):
        file.rename(file.with_name(file.name.replace("_C3_", "_C4_")))
    with pytest.raises(DataError, match="C1, C2, C4, the model was trained on C1, C2, C3"):
        evaluate(tiny.checkpoint, source=ModelSource(parts=parts), progress=False)


def test_test_split_without_defective_parts_is_refused(tiny: TinyProduct, tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", train=2, normal=2, defective=0)
    with pytest.raises(DataError, match="2 normal and 0 defective test parts; evaluation needs both"):
        evaluate(tiny.checkpoint, source=ModelSource(parts=tmp_path / "parts"), progress=False)


def test_missing_masks_are_all_named(tiny: TinyProduct, tmp_path: Path) -> None:
    parts = shutil.copytree(tiny.parts, tmp_path / "parts")
    masks = sorted((parts / "disc" / "spot").rglob("*.png"))[:2]
    for mask in masks:
        mask.unlink()
    with pytest.raises(DataError, match="2 missing mask") as caught:
        evaluate(tiny.checkpoint, source=ModelSource(parts=parts), progress=False)
    assert all(str(mask) in problem for mask, problem in zip(masks, caught.value.problems, strict=True))


def test_parts_without_held_out_normal_ones_give_figures_without_threshold(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    parts = shutil.copytree(tiny.parts, tmp_path / "parts")
    path = parts / "realiad_jsons" / "disc.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "train": []}))
    report = evaluate(tiny.checkpoint, source=ModelSource(parts=parts), progress=False).report
    assert report.part_auroc is not None
    assert report.thresholds is None
    assert report.thresholds_missing == "no held-out normal parts"


def test_unknown_torch_device_is_named(tiny: TinyProduct) -> None:
    with pytest.raises(DeviceError, match="torch device 'warp9'"):
        evaluate(tiny.checkpoint, progress=False, device="warp9")


def test_checkpoint_of_another_format_is_refused(tiny: TinyProduct, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(tiny.bundle.read_bytes())
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors"):
        evaluate(path, progress=False)


def test_pixels_outside_the_foreground_count_as_zero(tiny: TinyProduct, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for view in VIEWS:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[:, : SIZE if view != "C2" else SIZE // 2] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{view}.png")
    text = tiny.recipe.read_text() + "foreground: {kind: fixed, masks: masks}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    source = ModelSource(recipe=load_recipe(tmp_path / "recipe.yaml"))
    everything = evaluate(tiny.checkpoint, progress=False)
    evaluation = evaluate(tiny.checkpoint, source=source, progress=False, cache_dir=tmp_path / "cache")
    maps = evaluation.scored.maps
    assert (maps[:, 1, :, 4:] == 0).all()
    assert (maps[:, 1, :, :4] == everything.scored.maps[:, 1, :, :4]).all()
    assert (maps[:, [0, 2]] == everything.scored.maps[:, [0, 2]]).all()
    assert evaluation.report.pixel_auroc != everything.report.pixel_auroc


def published_file(checkpoint: Path, target: Path) -> Path:
    """The flow of a checkpoint as a file of the official repository: its names, one tensor per edge."""
    flow = load_checkpoint(checkpoint).module.flow
    ours, state = flow.state_dict(), {}
    for block in range(len(flow.shape.kernels)):
        for net in (1, 2):
            names = published_multiflow._net_tensors(flow.shape.graph, f"module_list.{block}.s{net}.")
            for name, theirs in names.items():
                tensor = ours[f"blocks.{block}.net{net}.{name}"]
                pieces = (
                    tensor.unbind() if name.startswith(("kernels", "biases")) else tensor.chunk(len(theirs))
                )
                state |= {their: piece.clone() for their, piece in zip(theirs, pieces, strict=True)}
    torch.save(state, target)
    return target


def test_official_file_is_evaluated_with_the_published_scores(tiny: TinyProduct, tmp_path: Path) -> None:
    official = published_file(tiny.checkpoint, tmp_path / "disc_run1.pth")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(re.sub(r"flow:\n(  .*\n)+(  - .*\n)*", "", tiny.recipe.read_text()))
    source = ModelSource(recipe=load_recipe(recipe))
    report = evaluate(official, source=source, progress=False).report
    assert report.scoring.view == "max"
    assert report.scoring.part == "mean"
    assert report.model.graph == "cs_neigh"
    assert report.model.sha256 == hashlib.sha256(official.read_bytes()).hexdigest()
    assert report.part_auroc is not None
    assert report.thresholds is not None
    assert set(report.thresholds.views) == set(VIEWS)


def test_part_without_foreground_is_named(tiny: TinyProduct, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for view in VIEWS:
        Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(tmp_path / "masks" / f"{view}.png")
    text = tiny.recipe.read_text() + "foreground: {kind: fixed, masks: masks}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    source = ModelSource(recipe=load_recipe(tmp_path / "recipe.yaml"))
    with pytest.raises(DataError, match=r"part OK/S0031, view C1: a part without foreground"):
        evaluate(tiny.checkpoint, source=source, progress=False, cache_dir=tmp_path / "cache")
