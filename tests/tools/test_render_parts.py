"""The part renderer: the same parts for the same seed, defects that show, and the Real-IAD layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pyvista", reason="the renderer needs the dev extra")

import render_parts
from edgeflow.contracts.datasets.find_parts import find_parts
from rendering.camera import VIEWPOINTS
from rendering.contact_sheet import overview, write_contact_sheet
from rendering.defects import DEFECTS, draw_defect
from rendering.drawing import Changes, Dimensions
from rendering.geometry import build
from rendering.parts import PartJob, Picture, defect_of, photograph
from rendering.sensor import CHANGE_LEVELS, changed, encode, least_pixels
from rendering.studio import Studio

SIZE = 96


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    studio = Studio(SIZE)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def defective(studio: Studio) -> list[list[Picture]]:
    """One part of every kind of defect."""
    return [photograph(studio, _job("test_defective", index)) for index in range(len(DEFECTS))]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, made by the command."""
    out = tmp_path_factory.mktemp("rendered") / "parts"
    result = CliRunner().invoke(render_parts.main, [str(out), *_options(train=2, normal=1, defective=2)])
    assert result.exit_code == 0, result.output
    return out


def _job(split: str, index: int) -> PartJob:
    return PartJob(seed=7, split=split, index=index)


def _options(*, train: int, normal: int, defective: int) -> list[str]:
    counts = ["--train", str(train), "--test-normal", str(normal), "--test-defective", str(defective)]
    return [*counts, "--size", str(SIZE), "--class", "block", "--seed", "7"]


def _entries(data_set: Path, split: str) -> list[dict[str, str | None]]:
    document = json.loads((data_set / "realiad_jsons" / "block.json").read_text(encoding="utf-8"))
    entries: list[dict[str, str | None]] = document[split]
    return entries


def _jpeg_bytes(data_set: Path, split: str, part: int) -> list[bytes]:
    paths = [entry["image_path"] for entry in _entries(data_set, split)[5 * part : 5 * part + 5]]
    return [(data_set / "block" / str(path)).read_bytes() for path in paths]


def test_a_part_looks_the_same_whatever_was_rendered_before(
    studio: Studio, defective: list[list[Picture]]
) -> None:
    again = photograph(studio, _job("test_defective", 4))
    for before, after in zip(defective[4], again, strict=True):
        np.testing.assert_array_equal(before.colour, after.colour)
        np.testing.assert_array_equal(before.mask, after.mask)


def test_files_do_not_depend_on_the_number_of_parts_or_workers(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    options = [*_options(train=1, normal=0, defective=1), "--workers", "2"]
    result = CliRunner().invoke(render_parts.main, [str(out), *options])
    assert result.exit_code == 0, result.output
    assert _jpeg_bytes(out, "train", 0) == _jpeg_bytes(data_set, "train", 0)
    assert _jpeg_bytes(out, "test", 0) == _jpeg_bytes(data_set, "test", 1)  # after the one normal part


def test_parts_differ_from_one_another_and_from_those_of_another_seed(studio: Studio) -> None:
    first = photograph(studio, _job("train", 0))[0].colour.astype(int)
    for other in (_job("train", 1), _job("test_normal", 0), PartJob(seed=8, split="train", index=0)):
        assert np.abs(photograph(studio, other)[0].colour - first).mean() > 1.0


def test_layout_is_that_of_real_iad(data_set: Path) -> None:
    train, test = _entries(data_set, "train"), _entries(data_set, "test")
    assert (len(train), len(test)) == (10, 15)
    for position, entry in enumerate([*train, *test]):
        number, camera = position // 5 + 1, f"C{position % 5 + 1}"
        path = Path(str(entry["image_path"]))
        assert entry["category"] == "block"
        assert path.parts[:2] == (entry["anomaly_class"], f"S{number:04d}")
        assert path.name.startswith(f"block_{number:04d}_{entry['anomaly_class']}_{camera}_")
        image = cv2.imread(str(data_set / "block" / path))
        assert image is not None
        assert image.shape == (SIZE, SIZE, 3)
    assert {entry["anomaly_class"] for entry in (*train, *test[:5])} == {"OK"}
    assert [entry["anomaly_class"] for entry in test[5::5]] == [defect_of(0), defect_of(1)]


def test_masks_lie_beside_their_images_and_mark_pixels(data_set: Path) -> None:
    entries = [*_entries(data_set, "train"), *_entries(data_set, "test")]
    marked = [entry for entry in entries if entry["mask_path"] is not None]
    assert marked
    for entry in marked:
        assert entry["anomaly_class"] != "OK"
        assert Path(str(entry["mask_path"])) == Path(str(entry["image_path"])).with_suffix(".png")
        mask = cv2.imread(str(data_set / "block" / str(entry["mask_path"])), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == (SIZE, SIZE)
        assert set(np.unique(mask)) == {0, 255}
    written = {path.relative_to(data_set / "block").as_posix() for path in data_set.rglob("*.png")}
    assert written == {entry["mask_path"] for entry in marked}


def test_calibration_projects_the_middle_of_the_part_into_every_image(data_set: Path) -> None:
    document = json.loads((data_set / "calibration.json").read_text(encoding="utf-8"))
    assert list(document["cameras"]) == [view.name for view in VIEWPOINTS]
    for camera in document["cameras"].values():
        rotation = np.asarray(camera["rotation"])
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        x, y, depth = rotation @ [0.0, 0.0, 18.0] + np.asarray(camera["translation_mm"])
        u, v, _ = np.asarray(camera["camera_matrix"]) @ [x / depth, y / depth, 1.0]
        assert depth > 300.0
        assert abs(u - SIZE / 2) < SIZE / 10
        assert abs(v - SIZE / 2) < SIZE / 10


def test_calibration_agrees_with_the_pixels(studio: Studio) -> None:
    """The brass plug, the one yellow thing, is where the calibration says that it is."""
    picture = photograph(studio, _job("train", 0))[1]
    view = VIEWPOINTS[1]
    rotation, translation = view.extrinsics()
    x, y, depth = rotation @ [17.0, -46.0, 7.0] + translation
    u, v, _ = view.intrinsics(SIZE) @ [x / depth, y / depth, 1.0]
    colour = picture.colour.astype(int)
    yellow = np.argwhere(colour[..., 0] - colour[..., 2] > 40)
    assert len(yellow) >= 4
    assert np.hypot(*(yellow.mean(axis=0) - [v, u])) < SIZE / 30  # the part's play in its fixture


@pytest.mark.parametrize("kind", DEFECTS)
def test_every_kind_of_defect_shows_in_at_least_one_view(kind: str, defective: list[list[Picture]]) -> None:
    part = defective[list(DEFECTS).index(kind)]
    masks = [picture.mask for picture in part if picture.mask is not None]
    assert max(np.count_nonzero(mask) for mask in masks) >= 2 * least_pixels(SIZE)


def test_a_scratch_on_a_wall_shows_to_one_camera_only(studio: Studio) -> None:
    part = photograph(studio, _job("test_defective", 7))
    assert defect_of(7) == "Scratch"
    assert [picture.camera for picture in part if picture.mask is not None] == ["C4"]


def test_another_bearing_shows_to_every_camera(defective: list[list[Picture]]) -> None:
    part = defective[list(DEFECTS).index("WrongInsert")]
    assert all(picture.mask is not None for picture in part)


def test_a_good_part_has_no_mask(studio: Studio) -> None:
    assert all(picture.mask is None for picture in photograph(studio, _job("test_normal", 0)))


def test_foreground_is_the_part_without_holes_and_moves_with_it(studio: Studio) -> None:
    pictures = [photograph(studio, _job("train", index)) for index in range(2)]
    for picture in pictures[0]:
        background = picture.colour[picture.foreground == 0]
        assert set(np.unique(picture.foreground)) == {0, 255}
        assert background.mean() < 0.6 * picture.colour[picture.foreground == 255].mean()  # a dark tray
        assert picture.foreground[SIZE // 2, SIZE // 2] == 255
    above = pictures[0][0].foreground  # from above one looks through the part's bore
    assert cv2.connectedComponents(255 - above, connectivity=4)[0] == 2
    assert (above != pictures[1][0].foreground).any()


def test_foreground_is_written_per_part_and_camera_as_recipes_read_it(tmp_path: Path) -> None:
    out = tmp_path / "parts"
    options = [*_options(train=1, normal=0, defective=1), "--foreground"]
    result = CliRunner().invoke(render_parts.main, [str(out), *options])
    assert result.exit_code == 0, result.output
    parts = find_parts(out)
    assert len(parts) == 2
    for part in parts:
        for view in ("C1", "C5"):
            mask = cv2.imread(str(out / "foreground" / part.part_id / f"{view}.png"), cv2.IMREAD_UNCHANGED)
            assert mask is not None
            assert mask.shape == (SIZE, SIZE)
            assert 0.2 < mask.mean() / 255 < 0.9


def test_mask_lies_where_the_defect_is(defective: list[list[Picture]]) -> None:
    """A wrong bearing changes the middle of the top view and nothing beyond the boss."""
    part = defective[list(DEFECTS).index("WrongInsert")]
    mask = part[0].mask
    assert mask is not None
    away = np.hypot(*(np.argwhere(mask) - (SIZE - 1) / 2).T)
    boss_px = 31.0 * SIZE / VIEWPOINTS[0].field_mm
    assert away.max() < 1.15 * boss_px


def test_mask_is_where_two_pictures_visibly_differ() -> None:
    before = np.full((64, 64, 3), 0.2, dtype=np.float32)
    after = before.copy()
    after[10:20, 30:33] += 0.1
    after[50, 50] += 0.1  # one pixel is no defect
    after[40:60, 5:15] += 0.004  # below what counts as visible
    levels = encode(after, noise_seed=None).astype(int) - encode(before, noise_seed=None)
    assert 0 < levels[45, 8].max() < CHANGE_LEVELS
    expected = np.zeros((64, 64), np.uint8)
    expected[10:20, 30:33] = 255
    np.testing.assert_array_equal(changed(before, after), expected)


def test_a_change_of_too_few_pixels_leaves_the_view_normal() -> None:
    before = np.full((256, 256, 3), 0.2, dtype=np.float32)
    after = before.copy()
    after[8:9, 4 : 3 + least_pixels(256)] += 0.2
    assert not changed(before, after).any()
    after[8:9, 4 : 5 + least_pixels(256)] += 0.2
    assert np.count_nonzero(changed(before, after)) == least_pixels(256) + 1


def test_surfaces_face_outwards_and_keep_their_winding() -> None:
    """Normals and triangles agree, or the part would be lit from inside."""
    for kind in DEFECTS:
        drawn = draw_defect(kind, Dimensions(), np.random.default_rng(3))
        for material, mesh in build(drawn.dimensions, drawn.changes):
            a, b, c = (mesh.points[mesh.triangles[:, corner]] for corner in range(3))
            turn = np.cross(b - a, c - a)
            normals = mesh.normals[mesh.triangles].mean(axis=1)
            agree = (turn * normals).sum(axis=1) >= -1e-9
            assert agree.mean() > 0.98, (kind, material)


def test_missing_screw_takes_its_metal_away() -> None:
    whole = dict(build(Dimensions(), Changes()))
    less = dict(build(Dimensions(), Changes(omitted=frozenset({"screw_1"}))))
    assert len(less["black_steel"].points) * 4 == len(whole["black_steel"].points) * 3


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine", encoding="utf-8")
    options = _options(train=1, normal=0, defective=0)
    result = CliRunner().invoke(render_parts.main, [str(tmp_path), *options])
    assert result.exit_code != 0
    assert "not empty" in result.output
    assert "--force" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_replaces_this_class_and_nothing_else(tmp_path: Path) -> None:
    kept, stale = tmp_path / "notes.txt", tmp_path / "block" / "OK" / "S0009" / "old.jpg"
    stale.parent.mkdir(parents=True)
    for path in (kept, stale):
        path.write_text("mine", encoding="utf-8")
    options = [*_options(train=1, normal=0, defective=0), "--force"]
    result = CliRunner().invoke(render_parts.main, [str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert kept.exists()
    assert not stale.exists()
    assert len(_entries(tmp_path, "train")) == 5


def test_contact_sheet_outlines_the_defect_and_leaves_good_parts_alone(tmp_path: Path) -> None:
    jobs, sheet = overview(7), tmp_path / "new" / "sheet.png"
    assert [job.anomaly for job in jobs] == ["OK", "OK", *DEFECTS]
    write_contact_sheet(sheet, [jobs[0], jobs[-1]], size=64)
    image = cv2.imread(str(sheet))
    assert image is not None
    assert image.shape == (2 * 64, 64 * len(VIEWPOINTS), 3)
    outlined = (image == (0, 220, 255)).all(axis=2)
    assert not outlined[:64].any()
    assert outlined[64:].any()


def test_nothing_to_do_is_a_usage_error() -> None:
    result = CliRunner().invoke(render_parts.main, [])
    assert result.exit_code == 2
    assert "OUT" in result.output
