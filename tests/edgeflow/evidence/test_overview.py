"""Kept parts are listed newest first, and one picture shows every view beside its heat map."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, ViewResult, from_json
from edgeflow.errors import DataError, StorageError
from edgeflow.evidence.files import EvidenceJob, write_evidence
from edgeflow.evidence.overview import (
    JOIN_THE_GROUP,
    StoredPart,
    closed_folders,
    stored_parts,
    write_overview,
)

SAMPLE = from_json(Result, (Path(__file__).parents[2] / "samples" / "result.json").read_bytes())
RED, BLUE = (200, 10, 30), (20, 40, 220)
CAPTION, TILE = 28, 256


def picture(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def kept(
    root: Path, result_id: str, run_s: float, originals: dict[str, np.ndarray], *, heat: tuple[str, ...] = ()
) -> Path:
    result = SAMPLE.model_copy(update={"result_id": result_id})
    folder = root / "2026-03-10" / result_id
    write_evidence(
        folder,
        EvidenceJob(
            result=result,
            originals=originals,
            images={view: originals[view] for view in heat},
            maps={view: np.full((2, 2), 9.0, np.float32) for view in heat},
            scales={view: Scale(centre=0.0, threshold=4.0) for view in heat},
            run_s=run_s,
        ),
    )
    return folder


def only_part(root: Path) -> StoredPart:
    (found,) = stored_parts(root)
    return found


def test_parts_are_listed_newest_first_and_those_without_a_result_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        kept(tmp_path, f"r-{number}", float(number), {"top": picture(8, 8, RED)})
    (tmp_path / "2026-03-10" / "r-1" / "result.json").write_text("{")
    (tmp_path / "2026-03-10" / "r-3" / "result.json").unlink()
    found = list(stored_parts(tmp_path))
    assert [each.result.result_id for each in found] == ["r-2", "r-0"]
    assert [each.folder.name for each in found] == ["r-2", "r-0"]
    files = (tmp_path / "2026-03-10" / "r-2").iterdir()
    assert found[0].size == sum(file.stat().st_size for file in files if file.name != "evidence.json")
    assert list(stored_parts(tmp_path / "nothing")) == []


def test_a_row_is_the_camera_image_beside_its_heat_map_under_a_caption(tmp_path: Path) -> None:
    folder = kept(tmp_path, "r-1", 1.0, {"top": picture(64, 64, RED)}, heat=("top",))
    write_overview(only_part(tmp_path), tmp_path / "out.png")
    shown = read_image(tmp_path / "out.png")
    assert shown.shape == (CAPTION + TILE, 2 * TILE, 3)
    assert (shown[CAPTION:, :TILE] == RED).all()
    heat = read_image(folder / "top_heat.png")
    assert (shown[CAPTION:, TILE:] == heat[0, 0]).all()


def test_views_lie_below_each_other_in_the_order_of_the_result(tmp_path: Path) -> None:
    kept(tmp_path, "r-1", 1.0, {"left": picture(64, 64, BLUE), "top": picture(64, 64, RED)})
    write_overview(only_part(tmp_path), tmp_path / "out.png")
    shown = read_image(tmp_path / "out.png")
    assert shown.shape == (2 * (CAPTION + TILE), 2 * TILE, 3)
    assert (shown[CAPTION : CAPTION + TILE, :TILE] == RED).all()
    assert (shown[2 * CAPTION + TILE :, :TILE] == BLUE).all()
    assert (shown[CAPTION : CAPTION + TILE, TILE:] == 0).all()  # it was not scored


def test_a_view_without_an_image_has_no_row_and_a_part_without_any_is_an_error(tmp_path: Path) -> None:
    folder = kept(tmp_path, "r-1", 1.0, {"left": picture(64, 64, BLUE)})
    write_overview(only_part(tmp_path), tmp_path / "out.png")
    shown = read_image(tmp_path / "out.png")
    assert shown.shape[0] == CAPTION + TILE
    assert (shown[CAPTION:, :TILE] == BLUE).all()
    (folder / "left.png").unlink()
    with pytest.raises(DataError, match=str(folder)):
        write_overview(only_part(tmp_path), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("height", "width", "shown_height", "shown_width"),
    [
        (512, 1024, 128, 256),
        (1024, 512, 256, 128),
        (32, 16, 256, 128),
        (16, 32, 128, 256),
        (256, 256, 256, 256),
        (1, 1000, 1, 256),  # never less than one pixel
        (1000, 1, 256, 1),
    ],
)
def test_an_image_fills_its_tile_and_keeps_its_proportions(
    tmp_path: Path, height: int, width: int, shown_height: int, shown_width: int
) -> None:
    kept(tmp_path, "r-1", 1.0, {"top": picture(height, width, RED)})
    write_overview(only_part(tmp_path), tmp_path / "out.png")
    tile = read_image(tmp_path / "out.png")[CAPTION:, :TILE]
    assert (tile[:shown_height, :shown_width] == RED).all()
    assert (tile[shown_height:] == 0).all()
    assert (tile[:, shown_width:] == 0).all()


def test_large_images_are_averaged_and_small_ones_show_their_pixels(tmp_path: Path) -> None:
    fine = np.zeros((512, 512, 3), np.uint8)
    fine[::2, ::2] = 200
    coarse = np.zeros((2, 2, 3), np.uint8)
    coarse[0, 0] = coarse[1, 1] = 200
    kept(tmp_path, "r-1", 1.0, {"top": fine, "left": coarse})
    write_overview(only_part(tmp_path), tmp_path / "out.png")
    shown = read_image(tmp_path / "out.png")
    assert (shown[CAPTION : CAPTION + TILE, :TILE] == 50).all()
    assert set(np.unique(shown[2 * CAPTION + TILE :, :TILE])) == {0, 200}


def lit(tmp_path: Path, view: ViewResult) -> np.ndarray:
    """The caption's bright pixels."""
    shutil.rmtree(tmp_path / "parts", ignore_errors=True)
    kept(tmp_path / "parts", "r-1", 1.0, {view.id: picture(8, 8, RED)})
    part = only_part(tmp_path / "parts")
    named = StoredPart(folder=part.folder, size=1, result=part.result.model_copy(update={"views": (view,)}))
    write_overview(named, tmp_path / "out.png")
    caption = read_image(tmp_path / "out.png")[:CAPTION]
    assert (caption[..., 0] == caption[..., 1]).all()
    assert caption.max() == 255
    return np.asarray(caption[..., 0] > 0)


def test_the_caption_names_the_view_and_its_score_to_two_places(tmp_path: Path) -> None:
    view = SAMPLE.views[0]
    unscored = lit(tmp_path, view.model_copy(update={"score": None}))
    scored = lit(tmp_path, view.model_copy(update={"score": 2.254}))
    assert (lit(tmp_path, view.model_copy(update={"score": 2.249})) == scored).all()
    assert not (lit(tmp_path, view.model_copy(update={"score": 2.26})) == scored).all()
    ends = np.nonzero(unscored.any(axis=0))[0][-1]
    assert (scored[:, : ends + 1] == unscored[:, : ends + 1]).all()  # the name comes first
    assert scored[:, ends + 1 :].any()
    rows = np.nonzero(scored.any(axis=1))[0]
    assert rows[0] >= 2
    assert rows[-1] < CAPTION - 1


def test_a_picture_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    kept(tmp_path / "parts", "r-1", 1.0, {"top": picture(8, 8, RED)})
    output = tmp_path / "no" / "folder" / "out.png"
    with pytest.raises(StorageError, match=f"{output}: cannot be written: No such file"):
        write_overview(only_part(tmp_path / "parts"), output)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user of this computer may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for each in folder.glob("*/*"):
        each.chmod(0o755)
    shutil.rmtree(folder)


AS_ANOTHER = """
import json, os, sys
from pathlib import Path
from edgeflow.errors import StorageError
from edgeflow.evidence.overview import closed_folders
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    print(json.dumps([str(path) for path in closed_folders(Path(sys.argv[1]))]))
except StorageError as error:
    print(json.dumps(str(error)))
"""


def closed_to_another(root: Path) -> list[str] | str:
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, root], capture_output=True, text=True, check=True
    )
    found: list[str] | str = json.loads(done.stdout)
    return found


def test_folders_that_this_user_may_not_read_are_not_the_same_as_none(open_to_all: Path) -> None:
    for name in ("2026-01-01/r-1", "2026-01-01/r-2", "2026-01-02/r-3"):
        (open_to_all / name).mkdir(parents=True)
    (open_to_all / "note.txt").write_text("no folder")
    (open_to_all / "note.txt").chmod(0o000)
    assert closed_to_another(open_to_all) == []
    (open_to_all / "2026-01-01" / "r-2").chmod(0o111)  # may be entered, not listed
    (open_to_all / "2026-01-02").chmod(0o000)
    found = closed_to_another(open_to_all)
    assert sorted(found) == [str(open_to_all / "2026-01-01" / "r-2"), str(open_to_all / "2026-01-02")]
    (open_to_all / "2026-01-02").chmod(0o444)  # listed, not entered: nobody can say what is in it
    assert JOIN_THE_GROUP in closed_to_another(open_to_all)
    (open_to_all / "2026-01-02").chmod(0o755)
    assert closed_to_another(open_to_all) == [str(open_to_all / "2026-01-01" / "r-2")]


def test_no_evidence_yet_is_no_error_but_a_file_in_its_place_is(tmp_path: Path) -> None:
    assert closed_folders(tmp_path / "nothing") == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=JOIN_THE_GROUP) as caught:
        closed_folders(tmp_path / "file")
    assert f"evidence.dir {tmp_path / 'file'}: cannot be read: Not a directory" in str(caught.value)
