"""The contact sheet shows each view as its camera and as the network sees it, with its tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from edgeflow.cli.main import cli
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import DataError
from edgeflow_export.data.views_sheet import draw_views
from tests.support.tiny import write_parts, write_recipe

IMAGE = np.random.default_rng(0).integers(0, 90, (160, 160, 3), dtype=np.uint8)


def test_the_right_half_is_the_models_image_and_the_left_one_shows_where_it_was_taken() -> None:
    view = ViewSpec(id="top", crop=(40, 20, 80, 60), turns=1)
    cell = np.asarray(draw_views(IMAGE, view, Preprocessing(height=320, width=320)))
    model = prepare(IMAGE, view, Preprocessing(height=320, width=320))
    np.testing.assert_array_equal(cell[-320:, -320:], model)
    outline = (cell[-320:, :320] == (255, 140, 0)).all(axis=2)
    rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
    found = columns[0], rows[0], columns[-1], rows[-1]
    np.testing.assert_allclose(found, (80, 40, 240, 160), atol=7)  # twice the crop, and the dot at a corner


def test_tiles_are_outlined_on_the_models_image() -> None:
    spec = Preprocessing.model_validate(
        {"height": 100, "width": 100, "tiles": {"height": 60, "width": 60, "overlap": 20}}, strict=False
    )
    with_lines = np.asarray(draw_views(IMAGE, ViewSpec(id="top"), spec))[-320:, -320:]
    lines = (with_lines == (0, 200, 255)).all(axis=2)
    assert lines[:, 128].mean() > 0.9  # the second column of tiles begins at 40 of 100 pixels
    assert lines[:, 50].mean() < 0.1


def test_train_show_views_draws_and_does_not_train(tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", train=6, normal=0, defective=0)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    document = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    document["image"]["geometry"] = {"C1": {"crop": [0, 0, 32, 48], "mirror": True}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document))
    arguments = ["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run"), "--show-views"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    assert "run/views.png: what the network will see" in done.stdout
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["views.png"]
    with Image.open(tmp_path / "run" / "views.png") as sheet:
        assert sheet.size[0] > 3 * 640
    document["image"]["geometry"]["C1"]["camera_size"] = [128, 128]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(DataError, match=r"^part .*: view 'C1': .* for images of 128x128, this one is 64x64"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
