"""A patch memory from a recipe to a verdict: trained, exported with INT8, verified, scored, evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.main import cli
from edgeflow.contracts.manifest import REPORT_NAME
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import load_dataset, load_images
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train
from tests.support import tiny as product
from tests.support.tiny import write_parts, write_recipe

pytestmark = pytest.mark.long


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    return done.stdout


def test_patch_memory_goes_the_whole_way(tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", train=20, normal=4, defective=4)
    path = tmp_path / "recipe.yaml"
    write_recipe(path, tmp_path / "parts", backends=["openvino"], precisions=["fp32", "int8"])
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"model": "patch_memory", "patch_memory": {"patches": 200}}))
    recipe = load_recipe(path)
    bundle = tmp_path / "disc.bundle"
    with product.tests_on_path():
        checkpoint = train(recipe, tmp_path / "run", cache_dir=tmp_path / "cache", progress=False)
        model, data = load_checkpoint(checkpoint), load_dataset(recipe)
        build_bundle(model, data, bundle, silent)
        report = json.loads(run("evaluate", checkpoint, "-o", tmp_path / "evaluation", "--json"))
    assert report["model"]["graph"] == "patch_memory"
    assert report["part_auroc"] == 1.0
    assert not (tmp_path / "evaluation" / "normal.png").exists()
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
        assert "patch memory" in opened.read(REPORT_NAME).decode()
    fp32 = manifest.graphs[0]
    assert fp32.measured_error <= fp32.tolerance
    assert manifest.recipe["model"] == "patch_memory"
    run("verify", bundle)
    scored = [json.loads(line) for line in run("score", bundle, tmp_path / "parts", "--json").splitlines()]
    rejected = {line["part_id"] for line in scored if line["verdict"] == "NG"}
    assert {part.part_id for part in data.test if part.defective} <= rejected
    part = data.test[-1]
    with torch.inference_mode():
        maps = model.module(torch.from_numpy(load_images(part, data))).numpy()
    bank = model.module.memory
    assert bank is not None
    with torch.inference_mode():
        features = bank.patches(model.module.features(torch.from_numpy(load_images(part, data))))
    for view, (own, patches) in enumerate(zip(features.numpy(), bank.bank.numpy(), strict=True)):
        pixels = own.reshape(own.shape[0], -1).T.astype(np.float64)
        squared = ((pixels[:, None] - patches[None].astype(np.float64)) ** 2).mean(2)
        expected = np.sqrt(squared.min(1)).reshape(maps[view].shape)
        np.testing.assert_allclose(maps[view], expected, rtol=1e-3, atol=1e-3)
