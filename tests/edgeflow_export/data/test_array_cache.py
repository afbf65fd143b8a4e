"""The cache of arrays: safe against interruption, company and full disks; honest about what it will take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import DataError, StorageError
from edgeflow_export.data.array_cache import Array, CachedKind, cache_arrays, read_array
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.recipe import load_recipe
from tests.support.tiny import write_parts, write_recipe

SHAPE = (3, 40, 40)

# Another process that fills the same cache; without torch it starts quickly.
FILL = """
import resource, sys, time
from pathlib import Path
import numpy as np
from edgeflow.errors import StorageError
from edgeflow_export.data.array_cache import CachedKind, cache_arrays
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.recipe import load_recipe

root, pause_s, limit = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
dataset = load_dataset(load_recipe(root / "recipe.yaml"))

def compute(part, images):
    time.sleep(pause_s)
    return np.stack([image[:40, :40, 0].astype(np.float32) for image in images])

kind = CachedKind(name="grey", identity="a" * 64, shape=(3, 40, 40), dtype=np.float32,
                  load=lambda images: images, compute=compute)
try:
    cache_arrays(dataset.training, dataset, kind, folder=root / "cache", progress=False)
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_parts(tmp_path / "parts", train=10, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    return load_dataset(load_recipe(tmp_path / "recipe.yaml"))


class Grey:
    """The red channel's corner of every view; counts what it computes."""

    def __init__(self, *, spoil: str | None = None, shape: tuple[int, ...] = SHAPE) -> None:
        self.count, self.spoil, self.shape = 0, spoil, shape

    def kind(self, *, name: str = "grey", by_name: bool = False) -> CachedKind[Sequence[RgbImage]]:
        return CachedKind(
            name=name,
            identity="a" * 64,
            shape=self.shape,
            dtype=np.float32,
            load=lambda images: images,
            compute=self.compute,
            by_name=by_name,
        )

    def compute(self, part: RecordedPart, images: Sequence[RgbImage]) -> Array:
        self.count += 1
        values = np.stack([image[:40, :40, 0].astype(np.float32) for image in images])
        if self.spoil == part.part_id:
            values[1, 2, 3] = np.inf
        return values


def fill(dataset: Dataset, folder: Path, grey: Grey, *, progress: bool = False) -> tuple[Path, ...]:
    return cache_arrays(dataset.training, dataset, grey.kind(), folder=folder, progress=progress)


def other_process(root: Path, *, pause_s: float = 0.0, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FILL, str(root), str(pause_s), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def files(root: Path, pattern: str) -> list[Path]:
    return sorted((root / "cache").rglob(pattern))


def test_any_array_of_a_part_is_kept_once(dataset: Dataset, tmp_path: Path) -> None:
    first, again = Grey(), Grey()
    paths = fill(dataset, tmp_path / "cache", first)
    assert fill(dataset, tmp_path / "cache", again) == paths
    assert (first.count, again.count) == (len(dataset.training), 0)
    for part, path in zip(dataset.training, paths, strict=True):
        images = [read_image(part.images[view]) for view in dataset.view_ids]
        assert np.array_equal(read_array(path, "grey"), Grey().compute(part, images))


def test_kinds_do_not_share_files(dataset: Dataset, tmp_path: Path) -> None:
    paths = fill(dataset, tmp_path / "cache", Grey())
    other = cache_arrays(
        dataset.training, dataset, Grey().kind(name="other"), folder=tmp_path / "cache", progress=False
    )
    assert not set(paths) & set(other)


def test_equal_images_share_a_file_unless_names_decide(dataset: Dataset, tmp_path: Path) -> None:
    first, second = dataset.training[:2]
    for view in dataset.view_ids:
        second.images[view].write_bytes(first.images[view].read_bytes())
    grey = Grey()
    shared = fill(dataset, tmp_path / "cache", grey)
    assert shared[0] == shared[1]
    assert grey.count == len(dataset.training) - 1
    named = cache_arrays(
        dataset.training, dataset, Grey().kind(by_name=True), folder=tmp_path / "cache", progress=False
    )
    assert len(set(named)) == len(named)


def test_two_processes_may_fill_one_folder(dataset: Dataset, tmp_path: Path) -> None:
    others = [other_process(tmp_path, pause_s=0.02) for _ in range(2)]
    assert [other.wait() for other in others] == [0, 0]
    for other in others:
        other.communicate()
    grey = Grey()
    paths = fill(dataset, tmp_path / "cache", grey)
    assert grey.count == 0
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)  # nothing half-written beside them


def test_a_killed_process_leaves_only_whole_arrays(dataset: Dataset, tmp_path: Path) -> None:
    with other_process(tmp_path, pause_s=0.1) as other:
        while len(files(tmp_path, "*.npy")) < 2:
            time.sleep(0.01)
        other.send_signal(signal.SIGKILL)
    there = len(files(tmp_path, "*.npy"))
    grey = Grey()
    fill(dataset, tmp_path / "cache", grey)
    assert grey.count == len(dataset.training) - there


def test_what_killed_processes_left_is_swept_but_not_what_others_write(
    dataset: Dataset, tmp_path: Path
) -> None:
    folder = fill(dataset, tmp_path / "cache", Grey())[0].parent
    old, new = folder / "a.partial", folder / "b.partial"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    fill(dataset, tmp_path / "cache", Grey())
    assert not old.exists()
    assert new.exists()


def test_a_disk_that_fills_up_leaves_nothing_half_written(dataset: Dataset, tmp_path: Path) -> None:
    with other_process(tmp_path, limit=10_000) as other:
        assert other.stdout is not None
        said = other.stdout.read()
    assert other.returncode == StorageError.exit_code
    assert "grey cannot be written" in said
    assert "free some space" in said
    assert not files(tmp_path, "*.npy")
    assert not files(tmp_path, "*.partial")


def test_a_folder_that_cannot_be_made_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        StorageError, match=r"cache/grey/a+: no cache of grey can be made: .*; choose another"
    ):
        fill(dataset, tmp_path / "cache", Grey())


def test_values_that_are_not_finite_name_part_view_and_file(dataset: Dataset, tmp_path: Path) -> None:
    bad = dataset.training[3]
    with pytest.raises(DataError) as caught:
        fill(dataset, tmp_path / "cache", Grey(spoil=bad.part_id))
    assert caught.value.message.startswith(f"part {bad.part_id}, view C2: grey are not finite; check")
    assert str(bad.images["C2"]) in caught.value.message
    assert len(files(tmp_path, "*.npy")) == 3  # those before it are kept


def test_an_image_that_its_geometry_does_not_fit_is_named_by_its_part(
    dataset: Dataset, tmp_path: Path
) -> None:
    odd = dataset.training[2]
    with Image.open(odd.images["C2"]) as image:
        image.resize((20, 20)).save(odd.images["C2"])
    view = ViewSpec(id="C2", crop=(10, 10, 30, 30))
    size = Preprocessing(height=40, width=40)
    kind = replace(Grey().kind(), load=lambda images: [prepare(image, view, size) for image in images])
    with pytest.raises(DataError, match=rf"^part {odd.part_id}: view 'C2': image 20x20 is smaller than the"):
        cache_arrays(dataset.training, dataset, kind, folder=tmp_path / "cache", progress=False)


def test_another_shape_than_expected_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"grey are float32 \(3, 40, 40\), expected float32 \(3, 8, 8\)"):
        fill(dataset, tmp_path / "cache", Grey(shape=(3, 8, 8)))


def test_room_and_time_are_told_beforehand_for_what_is_missing(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(dataset, tmp_path / "cache", Grey())[0].unlink()
    capsys.readouterr()
    fill(dataset, tmp_path / "cache", Grey(), progress=True)
    count = len(dataset.training)
    assert f"grey: 1 of {count} parts to compute, 0.0192 MB in {tmp_path}" in capsys.readouterr().err
    for path in files(tmp_path, "*.npy")[:3]:
        path.unlink()
    fill(dataset, tmp_path / "cache", Grey(), progress=True)
    said = capsys.readouterr().err
    assert f"grey: 3 of {count} parts to compute" in said
    assert "grey: about 0 s to go, " in said


def test_a_deleted_array_is_named(dataset: Dataset, tmp_path: Path) -> None:
    path = fill(dataset, tmp_path / "cache", Grey())[0]
    path.unlink()
    with pytest.raises(StorageError, match=rf"{path}: cached grey cannot be read: .*; run the command again"):
        read_array(path, "grey")


def test_a_missing_image_is_named(dataset: Dataset, tmp_path: Path) -> None:
    dataset.training[0].images["C2"].unlink()
    with pytest.raises(
        DataError, match=rf"part {dataset.training[0].part_id}: .*No such file.*check the path"
    ):
        fill(dataset, tmp_path / "cache", Grey())
