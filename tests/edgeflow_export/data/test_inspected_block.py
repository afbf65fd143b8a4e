"""The section ``data`` that 'edgeflow data inspect' prints is read by a recipe as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from edgeflow.cli.main import cli
from edgeflow.errors import DataError
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.recipe import load_recipe
from tests.support.data_sets import coco_image, draw, manta, polygon, write_coco
from tests.support.tiny import write_recipe


def inspected(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["data", "inspect", *map(str, arguments)])


def views_of(folder: Path, output: str) -> tuple[str, ...]:
    """The views that a recipe with the printed block finds."""
    path = folder / "recipe.yaml"
    write_recipe(path, folder)
    recipe = yaml.safe_load(path.read_text()) | yaml.safe_load(output[output.index("\ndata:") :])
    path.write_text(yaml.safe_dump(recipe))
    return load_dataset(load_recipe(path)).view_ids


def test_the_block_of_five_views_in_one_picture(tmp_path: Path) -> None:
    root = manta(tmp_path / "MANTA ä #1")
    done = inspected(root)
    assert done.exit_code == 0, done.output
    assert "MANTA (layout manta), class mechanics/nut" in done.output
    assert views_of(tmp_path, done.output) == ("V1", "V2", "V3", "V4", "V5")


def test_the_block_of_a_class_and_a_layout_that_were_chosen(tmp_path: Path) -> None:
    root = manta(tmp_path / "sets")
    (root / "mechanics" / "nut").rename(root / "nut")
    (root / "mechanics").rename(tmp_path / "unused")
    done = inspected(root, "--class", "nut", "--layout", "manta", "--view", "V3", "--view", "V1")
    assert done.exit_code == 0, done.output
    assert views_of(tmp_path, done.output) == ("V3", "V1")


def test_the_block_of_an_export_says_what_no_annotation_means(tmp_path: Path) -> None:
    root = tmp_path / "export"
    draw(*(root / "images" / f"{n}.png" for n in range(6)))
    write_coco(
        root / "result.json",
        [coco_image(n, f"images\\{n}.png") for n in range(6)],
        [{"image_id": 0, "category_id": 1, "segmentation": [polygon()]}],
    )
    done = inspected(root)
    assert done.exit_code == 0, done.output
    assert views_of(tmp_path, done.output) == ("image",)


def test_findings_that_stop_a_training_end_with_its_error(tmp_path: Path) -> None:
    draw(tmp_path / "p1" / "C1.png", tmp_path / "p1" / "C2.png", tmp_path / "p2" / "C1.png")
    done = inspected(tmp_path, "--json")
    answer = json.loads(done.output)
    assert isinstance(done.exception, DataError)
    assert answer["ok"] is False
    assert {"name": "parts", "state": "failed", "text": "part p2: missing view C2", "grave": False} in (
        answer["findings"]
    )
    assert answer["data"] == {"root": str(tmp_path), "views": ["C1", "C2"]}


def test_machines_get_all_counts(tmp_path: Path) -> None:
    answer = json.loads(inspected(manta(tmp_path), "--json").output)
    assert (answer["layout"], answer["parts"], answer["ok"]) == ("manta", 8, True)
    assert answer["views"][0] == {"view": "V1", "parts": 8, "sizes": {"16x16": 8}, "bits": {"8": 8}}
    assert answer["masks"] == {"defective_parts": 2, "with_masks": 2, "masks": 2, "empty": 0}


@pytest.mark.parametrize("arguments", [["--layout", "no"], ["--class", "gear"]])
def test_choices_that_are_not_there_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = inspected(manta(tmp_path), *arguments)
    assert done.exit_code != 0
