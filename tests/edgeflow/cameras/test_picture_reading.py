"""A box reads depth and orientation as its bundle was trained: files, streams and cameras alike."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.recalibrate import recalibrate
from edgeflow.cameras.camera import FrameLost
from edgeflow.cameras.replay import ReplayCamera
from edgeflow.cameras.streams.decoder import Video, rgb_of
from edgeflow.config.box import BoxConfig, FileConfig, ReplayConfig, RtspConfig, load_config
from edgeflow.config.camera_views import as_bundle_reads
from edgeflow.contracts.image_files.orientation import turned
from edgeflow.contracts.manifest import Preprocessing
from edgeflow.decision.recorded_parts import ScoredPart, find_bundle_parts, require_depth, score_parts
from edgeflow.diagnostics.benchmark import load_parts
from edgeflow.errors import DataError
from edgeflow.scoring.loading import choose_graph, make_scorer
from simulators.small_bundle import SIDE, VIEWS, small_bundle

ORIENTATION = 0x112
GREY = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
NOW = {"height": SIDE, "width": SIDE, "bits": 12, "orientation": "followed"}
BEFORE = {"height": SIDE, "width": SIDE}


def write_part(folder: Path, values: np.ndarray, *, orientation: int | None = None) -> None:
    folder.mkdir(parents=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    for view in VIEWS:
        Image.fromarray(values).save(folder / f"{view}.png", exif=exif)


def scored(bundle_file: Path, parts: Path) -> dict[str, ScoredPart]:
    with Bundle.open(bundle_file) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend=None, precision=None))
        found = find_bundle_parts(bundle, parts)
        return {part.part_id: part for part, _ in score_parts(bundle, scorer, found)}


def test_files_of_the_declared_depth_score_as_the_converted_ones(tmp_path: Path) -> None:
    write_part(tmp_path / "parts" / "deep", GREY.astype(np.uint16) << 4)
    write_part(tmp_path / "parts" / "eight", GREY)
    write_part(tmp_path / "parts" / "too_deep", GREY.astype(np.uint16) << 8)
    found = scored(small_bundle(tmp_path / "b.bundle", preprocessing=NOW), tmp_path / "parts")
    assert found["deep"].score_raw == found["eight"].score_raw is not None
    assert found["too_deep"].verdict == "UNDECIDED"
    assert "the highest of 12 bits" in found["too_deep"].reason


def test_depth_is_never_guessed_from_one_image(tmp_path: Path) -> None:
    dark = np.full((SIDE, SIDE), 255, np.uint16)
    write_part(tmp_path / "parts" / "dark", dark)
    write_part(tmp_path / "parts" / "as_8_bits", (dark >> 4).astype(np.uint8))
    found = scored(small_bundle(tmp_path / "b.bundle", preprocessing=NOW), tmp_path / "parts")
    assert found["dark"].score_raw == found["as_8_bits"].score_raw


def test_turned_files_score_as_upright_ones_or_are_refused_by_an_older_bundle(tmp_path: Path) -> None:
    write_part(tmp_path / "parts" / "upright", GREY)
    write_part(tmp_path / "parts" / "turned", np.rot90(GREY), orientation=6)
    found = scored(small_bundle(tmp_path / "now.bundle", preprocessing=NOW), tmp_path / "parts")
    assert found["turned"].score_raw == found["upright"].score_raw is not None
    found = scored(small_bundle(tmp_path / "before.bundle", preprocessing=BEFORE), tmp_path / "parts")
    assert found["upright"].score_raw is not None
    assert found["turned"].verdict == "UNDECIDED"
    assert "is to be turned" in found["turned"].reason


def test_bench_reads_as_the_bundle_says(tmp_path: Path) -> None:
    write_part(tmp_path / "parts" / "deep", GREY.astype(np.uint16) << 4)
    with Bundle.open(small_bundle(tmp_path / "b.bundle", preprocessing=NOW)) as bundle:
        (images,) = load_parts(bundle, tmp_path / "parts")
    assert np.array_equal(images[VIEWS[0]][..., 0], GREY)


def test_golden_images_are_read_as_when_they_were_recorded(tmp_path: Path) -> None:
    stored = np.arange(SIDE * (SIDE + 2), dtype=np.uint8).reshape(SIDE, SIDE + 2)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG", exif=exif)
    for preprocessing, expected in ((BEFORE, stored), (NOW, np.rot90(stored, -1))):
        path = small_bundle(tmp_path / "b.bundle", preprocessing=preprocessing, golden=buffer.getvalue())
        with Bundle.open(path) as bundle:
            images = bundle.golden_images(bundle.manifest.golden[0])
        assert np.array_equal(images[VIEWS[0]][..., 0], expected)


def good_parts(root: Path, count: int, scale: int, dtype: type) -> None:
    rng = np.random.default_rng(4)
    for number in range(count):
        values = rng.normal(100 + rng.normal(0, 5), 3, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
        write_part(root / f"p{number:03d}", values.astype(dtype) * dtype(scale))


def test_calibration_refuses_parts_far_below_the_depth_of_the_bundle(tmp_path: Path) -> None:
    good_parts(tmp_path / "parts", 12, 1, np.uint16)
    with Bundle.open(small_bundle(tmp_path / "b.bundle", preprocessing=NOW)) as bundle:
        found = find_bundle_parts(bundle, tmp_path / "parts")
        with pytest.raises(DataError, match=r"is this 8-bit data.*accept them with --allow-dark"):
            require_depth(bundle, found, allow_dark=False)
        require_depth(bundle, found, allow_dark=True)


def test_calibration_refuses_mixed_depth(tmp_path: Path) -> None:
    good_parts(tmp_path / "parts", 12, 16, np.uint16)
    write_part(tmp_path / "parts" / "odd", GREY)
    with Bundle.open(small_bundle(tmp_path / "b.bundle", preprocessing=NOW)) as bundle:
        found = find_bundle_parts(bundle, tmp_path / "parts")
        with pytest.raises(DataError, match="of different depth"):
            require_depth(bundle, found, allow_dark=True)


def test_thresholds_from_deep_parts_are_those_of_the_converted_ones(tmp_path: Path) -> None:
    good_parts(tmp_path / "deep", 12, 16, np.uint16)
    good_parts(tmp_path / "eight", 12, 1, np.uint8)
    thresholds = []
    for name in ("deep", "eight"):
        with Bundle.open(small_bundle(tmp_path / "b.bundle", preprocessing=NOW)) as bundle:
            found = find_bundle_parts(bundle, tmp_path / name)
            require_depth(bundle, found, allow_dark=False)
            thresholds.append(
                recalibrate(bundle, found, tmp_path / f"{name}.bundle", accept=True).after.part.threshold
            )
    assert thresholds[0] == thresholds[1]


def test_a_replay_camera_reads_as_it_is_told(tmp_path: Path) -> None:
    write_part(tmp_path / "parts" / "a", np.rot90(GREY.astype(np.uint16) << 4), orientation=6)
    config = ReplayConfig(kind="replay", parts=tmp_path / "parts", bits=12)
    camera = ReplayCamera(VIEWS[0], config)
    camera.open(0)
    camera.trigger("t")
    frame = camera.read(1.0)
    assert frame is not None
    assert np.array_equal(frame.image[..., 0], GREY)
    refusing = ReplayCamera(VIEWS[0], config.model_copy(update={"orientation": "refused"}))
    refusing.open(0)
    refusing.trigger("t")
    with pytest.raises(FrameLost, match="is to be turned"):
        refusing.read(1.0)


@pytest.fixture
def box(repository: Path) -> BoxConfig:
    config = load_config(repository / "firmware_configs/boxes/replay.yaml")
    more = {
        "file": FileConfig(kind="file", path=Path("a.mp4")),
        "rtsp": RtspConfig(kind="rtsp", url="rtsp://10.0.0.1/1"),
    }
    return config.model_copy(update={"cameras": {**config.cameras, **more}})


def test_cameras_read_as_the_bundle_that_the_box_runs(box: BoxConfig) -> None:
    told = as_bundle_reads(box, Preprocessing.model_validate(NOW)).cameras
    replays = [camera for camera in told.values() if isinstance(camera, ReplayConfig)]
    assert {(camera.bits, camera.orientation) for camera in replays} == {(12, "followed")}
    assert {told[name].orientation for name in ("file", "rtsp")} == {"followed"}  # type: ignore[union-attr]


def test_with_an_older_bundle_streams_stay_as_they_were_and_files_are_refused(box: BoxConfig) -> None:
    told = as_bundle_reads(box, Preprocessing.model_validate(BEFORE)).cameras
    replays = [camera for camera in told.values() if isinstance(camera, ReplayConfig)]
    assert {(camera.bits, camera.orientation) for camera in replays} == {(None, "refused")}
    assert {told[name].orientation for name in ("file", "rtsp")} == {"ignored"}  # type: ignore[union-attr]


def test_the_box_file_has_the_last_word(box: BoxConfig) -> None:
    own = {
        "file": box.cameras["file"].model_copy(update={"orientation": "followed"}),
        "a": ReplayConfig(kind="replay", parts=Path(), bits=10, orientation="ignored"),
    }
    told = as_bundle_reads(box.model_copy(update={"cameras": own}), Preprocessing.model_validate(BEFORE))
    assert told.cameras == own


MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
CORNER = np.zeros((64, 96, 3), np.uint8)
CORNER[:16, :24] = 255


def clip_with_matrix(path: Path, orientation: int) -> Path:
    """An MP4 whose track header says how it is to be turned, as phones and action cameras write it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = Fraction(1, 10)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(CORNER, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value * 65536 for value in MATRICES[orientation])
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def mjpeg_with_exif(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(CORNER).save(buffer, "JPEG", exif=exif)
    path.write_bytes(buffer.getvalue() * 3)
    return path


def first_image(path: Path, *, turn: bool) -> np.ndarray:
    video = Video(str(path), name="clip", open_s=5, read_s=5, options={}, advice="none", turn=turn)
    try:
        frame = video.next()
        return rgb_of(frame, video.orientation)
    finally:
        video.close()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("write", [clip_with_matrix, mjpeg_with_exif])
def test_a_stream_is_turned_as_it_says(write: object, orientation: int, tmp_path: Path) -> None:
    suffix = ".mp4" if write is clip_with_matrix else ".mjpeg"
    path = write(tmp_path / f"clip{suffix}", orientation)  # type: ignore[operator]
    expected = turned(CORNER, orientation)
    image = first_image(path, turn=True)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 12
    assert np.abs(first_image(path, turn=False).astype(int) - CORNER).mean() < 12
