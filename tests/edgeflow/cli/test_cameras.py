"""Commands that frame views print what a recipe takes, and refuse what is no board by name."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from edgeflow.cli.main import cli
from edgeflow.errors import DataError, UsageError
from edgeflow_export.recipe import ImageSpec
from simulators.small_bundle import SIDE, VIEWS, small_bundle


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(
        cli, ["cameras", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


def image_section(text: str) -> ImageSpec:
    """A recipe's section with what a command printed."""
    document = {"height": 64, "width": 64, **yaml.safe_load(text)}
    return ImageSpec.model_validate_json(json.dumps(document))


def test_calibrate_prints_the_rectification_of_a_board_that_it_printed(tmp_path: Path) -> None:
    board, seen = tmp_path / "top.png", tmp_path / "rectified.png"
    invoke("calibrate", board, "--print-board", "--pixels-per-mm", "4")
    done = invoke("calibrate", board, "-o", seen)
    plane = image_section(done.stdout).geometry["top"]
    assert plane.rectify is not None
    assert plane.camera_size == (640, 480)
    assert "24 corners lie within 0.0" in done.stderr
    # Seen straight from the front already: the picture stays as it is.
    before, after = (np.asarray(Image.open(path), np.float64) for path in (board, seen))
    height, width = np.minimum(before.shape[:2], after.shape[:2]) - 4
    assert np.abs(before[2:height, 2:width] - after[2:height, 2:width]).mean() < 8.0
    told = json.loads(invoke("calibrate", board, "--view", "left", "--json").stdout)
    assert (told["view"], told["corners"]) == ("left", 24)


def test_calibrate_refuses_a_picture_without_the_board_and_sizes_that_are_none(tmp_path: Path) -> None:
    Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(tmp_path / "top.png")
    with pytest.raises(DataError, match=r"0 corners of the board found .* check --squares and --dictionary"):
        invoke("calibrate", tmp_path / "top.png")
    with pytest.raises(UsageError, match="--squares seven: expected COLUMNSxROWS, such as 7x5"):
        invoke("calibrate", tmp_path / "top.png", "--squares", "seven")


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_number_that_is_none_is_a_mistake_of_usage(value: str, tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter):
        invoke("calibrate", tmp_path / "top.png", "--pixels-per-mm", value)


def test_sizes_that_no_picture_can_have_are_refused_with_what_to_change(tmp_path: Path) -> None:
    board = tmp_path / "top.png"
    with pytest.raises(DataError, match=r"16000000x12000000, more than the 64000000 .* --pixels-per-mm"):
        invoke("calibrate", board, "--print-board", "--pixels-per-mm", "100000")
    invoke("calibrate", board, "--print-board", "--pixels-per-mm", "2")
    with pytest.raises(DataError, match="would be 2x2, in which nothing can be seen; use more --pixels"):
        invoke("calibrate", board, "--pixels-per-mm", "0.01")


HALF_SIZE = {"homography": [[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]], "width": 72, "height": 48}
"""A plane at half the camera's resolution; eight columns of it lie beyond the camera's image."""


def box_of(tmp_path: Path, **other: object) -> Path:
    """A box whose first view shows a part on grey, and whose second one shows nothing."""
    for view, (x, y) in zip(VIEWS, ((30, 20), (0, 0)), strict=True):
        image = np.full((96, 128, 3), 40, np.uint8)
        if x:
            image[y : y + 40, x : x + 50] = 200
        (tmp_path / "parts" / "p1").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "parts" / "p1" / f"{view}.png")
    box = tmp_path / "box.yaml"
    box.write_text(
        yaml.safe_dump(
            {
                "station": {"site": "p", "line": "l", "station": "s"},
                "bundle": "b.bundle",
                "trigger": {"source": "interval", "period_ms": 200, "timeout_ms": 2000},
                "cameras": {view: {"kind": "replay", "parts": "parts"} for view in VIEWS},
                "mqtt": {"host": "127.0.0.1"},
                "sync": {"max_skew_ms": 50},
                "decision": {"deadline_ms": 500},
                "runtime": {"backend": "onnxruntime", "precision": "fp32"},
                "outbox": {"path": "outbox.db"},
                **other,
            }
        )
    )
    return box


def test_snapshot_proposes_crops_for_the_recipe(tmp_path: Path) -> None:
    done = invoke("snapshot", box_of(tmp_path), "-o", tmp_path / "seen", "--propose-crops")
    first, second = (image_section(done.stdout).geometry[view] for view in VIEWS)
    assert first.camera_size == (128, 96)
    assert first.crop is not None
    np.testing.assert_allclose(first.crop, (28, 18, 54, 44), atol=3)
    assert second.crop is None
    assert "nothing differs from the background; put a part before the camera" in done.stdout
    assert "contact_sheet.png: 2 views" in done.stderr
    assert "crops by what differs from the image's border (no bundle yet)" in done.stderr


def test_where_the_bundle_has_a_foreground_its_masks_frame_the_part(tmp_path: Path) -> None:
    """The mask is on the bundle's own crop of the second view, turned, and comes back to the camera."""
    masks, file = np.zeros((2, SIDE, SIDE), np.uint8), io.BytesIO()
    masks[0, 2:4, 1:5] = 1
    masks[1, :4] = 1
    np.savez(file, masks=masks)
    views = [{"id": VIEWS[0]}, {"id": VIEWS[1], "crop": [32, 16, 64, 64], "turns": 1}]
    small_bundle(
        tmp_path / "b.bundle",
        views=views,
        extra={"masks.npz": file.getvalue()},
        foreground={"kind": "fixed", "masks": "masks.npz"},
    )
    box = box_of(tmp_path)
    done = invoke("snapshot", box, "-o", tmp_path / "seen", "--propose-crops", "--json")
    crops = json.loads(done.stdout)["crops"]
    across, down = 128 / SIDE, 96 / SIDE
    expected = [across, 2 * down, 4 * across, 2 * down]
    np.testing.assert_allclose(crops[VIEWS[0]]["crop"], with_margin(expected), atol=2)
    # The upper half of the turned view is its left half before.
    np.testing.assert_allclose(crops[VIEWS[1]]["crop"], with_margin([32, 16, 32, 64]), atol=2)
    assert {crop["source"] for crop in crops.values()} == {"the foreground of bundle bracket"}
    shown = invoke("snapshot", box, "-o", tmp_path / "again", "--propose-crops")
    assert "crops by the foreground of bundle bracket" in shown.stderr


def with_foreground(path: Path, views: list[dict[str, object]], mask: tuple[slice, slice]) -> None:
    """A bundle whose foreground is one rectangle of every view's map."""
    masks, file = np.zeros((len(views), SIDE, SIDE), np.uint8), io.BytesIO()
    masks[:, *mask] = 1
    np.savez(file, masks=masks)
    extra, foreground = {"masks.npz": file.getvalue()}, {"kind": "fixed", "masks": "masks.npz"}
    small_bundle(path, views=views, extra=extra, foreground=foreground)


def test_a_rectified_and_turned_view_is_cropped_where_the_recipe_crops_it(tmp_path: Path) -> None:
    """Crops count in rectified pixels, before the turn; what is pasted keeps the rest of the geometry."""
    plane = {"rectify": HALF_SIZE, "camera_size": [128, 96]}
    views = [
        {"id": VIEWS[0], **plane, "turns": 1, "mirror": True},
        {"id": VIEWS[1], **plane, "letterbox": [64, 64]},
    ]
    with_foreground(tmp_path / "b.bundle", views, (slice(0, SIDE // 2), slice(0, SIDE)))
    done = invoke("snapshot", box_of(tmp_path), "-o", tmp_path / "seen", "--propose-crops")
    first, second = (image_section(done.stdout).geometry[view] for view in VIEWS)
    assert first.rectify is not None
    assert (first.turns, first.mirror, first.camera_size) == (1, True, (128, 96))
    # The upper half of what is turned clockwise was the left half: of the rectified image of 72 by 48.
    assert first.crop is not None
    np.testing.assert_allclose(first.crop, (0, 0, 36 + 0.05 * 48, 48), atol=1)
    # 72x48 is padded to 72x72, so its upper half holds the rectified image's first 24 rows.
    assert (second.rectify, second.fit) == (first.rectify, "letterbox")
    assert second.crop is not None
    np.testing.assert_allclose(second.crop, (0, 0, 72, 24 + 0.05 * 72), atol=1)
    assert done.stdout.count("# by the foreground of bundle bracket") == len(VIEWS)


def test_without_a_foreground_a_rectified_view_is_looked_at_in_its_rectified_image(tmp_path: Path) -> None:
    plane = {"rectify": HALF_SIZE, "camera_size": [128, 96]}
    small_bundle(tmp_path / "b.bundle", views=[{"id": view, **plane} for view in VIEWS])
    done = invoke("snapshot", box_of(tmp_path), "-o", tmp_path / "seen", "--propose-crops", "--json")
    crop = json.loads(done.stdout)["crops"][VIEWS[0]]
    np.testing.assert_allclose(crop["crop"], with_margin([15, 10, 25, 20]), atol=2)
    assert crop["geometry"]["rectify"]["width"] == HALF_SIZE["width"]
    assert crop["source"] == "what differs from the image's border"
    # Where nothing is found, the rectification is not lost.
    nothing = json.loads(done.stdout)["crops"][VIEWS[1]]
    assert (nothing["crop"], sorted(nothing["geometry"])) == (None, ["camera_size", "rectify"])


def test_a_geometry_for_other_images_is_not_followed_and_the_reason_is_told(tmp_path: Path) -> None:
    views = [{"id": VIEWS[0], "crop": [0, 0, 64, 64], "camera_size": [256, 192]}, {"id": VIEWS[1]}]
    small_bundle(tmp_path / "b.bundle", views=views)
    done = invoke("snapshot", box_of(tmp_path), "-o", tmp_path / "seen", "--propose-crops")
    assert image_section(done.stdout).geometry[VIEWS[0]].camera_size == (128, 96)
    assert "the bundle's geometry is not followed" in done.stderr
    assert "made for images of 256x192, this one is 128x96" in done.stderr


def test_of_several_products_the_named_one_gives_cameras_and_crops(tmp_path: Path) -> None:
    with_foreground(tmp_path / "a.bundle", [{"id": view} for view in VIEWS], (slice(2, 4), slice(1, 5)))
    products = {
        "a": {"bundle": "a.bundle", "cameras": {VIEWS[0]: {"parts": "small"}}},
        "b": "missing.bundle",
    }
    box = box_of(tmp_path, products=products)
    document = {key: value for key, value in yaml.safe_load(box.read_text()).items() if key != "bundle"}
    box.write_text(yaml.safe_dump(document))
    (tmp_path / "small" / "p1").mkdir(parents=True)
    for view in VIEWS:
        small = np.full((48, 64, 3), 40, np.uint8)
        Image.fromarray(small).save(tmp_path / "small" / "p1" / f"{view}.png")

    def crops(*more: object) -> tuple[str, dict[str, tuple[int, int] | None]]:
        done = invoke("snapshot", box, "-o", tmp_path / "seen", "--propose-crops", *more)
        geometry = image_section(done.stdout).geometry
        return done.stderr, {view: geometry[view].camera_size for view in VIEWS}

    note, sizes = crops()
    assert "what differs from the image's border (name one with --product: a, b)" in note
    assert sizes == {VIEWS[0]: (128, 96), VIEWS[1]: None}
    note, sizes = crops("--product", "a")
    assert "crops by the foreground of bundle bracket" in note
    assert sizes == {VIEWS[0]: (64, 48), VIEWS[1]: (128, 96)}
    note, _ = crops("--product", "b")
    assert "product b has no bundle yet" in note
    assert crops("--set", "product=a")[0] == crops("--product", "a")[0]
    with pytest.raises(UsageError, match=r"no product 'c' in this box file; there are: a, b"):
        crops("--product", "c")


def with_margin(box: list[float]) -> list[float]:
    x, y, width, height = box
    space = 0.05 * max(width, height)
    return [x - space, y - space, width + 2 * space, height + 2 * space]
