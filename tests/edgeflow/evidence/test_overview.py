"""Kept parts are read back newest first, and drawn as one picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import DataError, StorageError
from edgeflow.evidence.files import EvidenceJob, write_evidence
from edgeflow.evidence.overview import StoredPart, closed_folders, stored_parts, write_overview

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"
DAY = "2026-03-10"


def keep(root: Path, number: int) -> Path:
    """Keep part ``r-NUMBER``; its one view in the picture is the sample's first."""
    folder = root / DAY / f"r-{number}"
    result = from_json(Result, SAMPLE.read_bytes())
    result = result.model_copy(update={"result_id": folder.name, "evidence": str(folder)})
    view = result.views[0].id
    image = np.full((20, 40, 3), 200, np.uint8)
    job = EvidenceJob(
        result=result,
        originals={view: image},
        images={view: image},
        maps={view: np.full((5, 10), 3.0, np.float32)},
        scales={view: Scale(centre=0.0, threshold=4.0)},
        run_s=float(number),
    )
    write_evidence(folder, job)
    return folder


def test_parts_come_newest_first_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        keep(tmp_path, number)
    (tmp_path / DAY / "r-2" / "result.json").write_text("{")
    parts = list(stored_parts(tmp_path))
    assert [part.result.result_id for part in parts] == ["r-3", "r-1"]
    assert parts[0].folder == tmp_path / DAY / "r-3"
    assert parts[0].size > 0


def test_the_overview_shows_each_kept_view_beside_its_heat(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    (part,) = stored_parts(tmp_path)
    write_overview(part, tmp_path / "overview.png")
    picture = read_image(tmp_path / "overview.png")
    assert picture.shape == (256 + 28, 512, 3)
    assert (picture[28 : 28 + 128, :256] == 200).all()  # twice as wide as high, in proportion
    assert (picture[28 + 128 :, :256] == 0).all()
    assert picture[28:, 256:].any()


def test_a_view_without_heat_stands_beside_black(tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    next(folder.glob("*_heat.png")).unlink()
    (part,) = stored_parts(tmp_path)
    write_overview(part, tmp_path / "overview.png")
    assert (read_image(tmp_path / "overview.png")[28:, 256:] == 0).all()


def test_a_part_without_images_has_no_overview(tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    (part,) = stored_parts(tmp_path)
    for file in folder.glob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match="holds no images"):
        write_overview(part, tmp_path / "overview.png")


def test_an_overview_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    (part,) = stored_parts(tmp_path)
    with pytest.raises(StorageError, match="cannot be written"):
        write_overview(StoredPart(**vars(part)), tmp_path / "nowhere" / "overview.png")


def test_evidence_that_is_missing_has_no_closed_folders(tmp_path: Path) -> None:
    assert closed_folders(tmp_path / "nowhere") == []
    keep(tmp_path, 1)
    assert closed_folders(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folders_of_another_user_are_found(tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    folder.chmod(0)
    try:
        assert closed_folders(tmp_path) == [folder]
    finally:
        folder.chmod(0o700)
