"""``edgeflow cameras`` and ``edgeflow record`` on real GigE Vision cameras; the recording played again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from edgeflow.cameras.discovery import attached_cameras
from edgeflow.capture.capture import Capture
from edgeflow.config.box import load_config
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.datasets.recording import FILE_NAME, read_recording
from edgeflow.contracts.documents.strict_yaml import read_yaml_text
from edgeflow.contracts.images import read_image
from edgeflow.errors import DataError
from tests.support.fake_cameras import FakeCamera, fake_cameras

pytestmark = pytest.mark.xdist_group("cameras")  # they have fixed addresses

REST = """\
station: {site: s, line: l, station: t}
bundle: none.bundle
sync: {max_skew_ms: 45}
decision: {deadline_ms: 1000}
runtime: {backend: openvino}
mqtt: {host: localhost}
outbox: {path: outbox.db}
"""


def edgeflow(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeflow.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture
def fakes() -> Iterator[list[FakeCamera]]:
    with fake_cameras(2) as cameras:
        yield cameras


def test_cameras_are_found_pasted_seen_recorded_and_played_again(
    fakes: list[FakeCamera], tmp_path: Path
) -> None:
    listed = edgeflow("cameras", "list")
    assert listed.returncode == 0, listed.stderr
    box = tmp_path / "box.yaml"
    box.write_text(REST + "trigger: {source: mqtt}\n" + listed.stdout)
    assert [camera.kind for camera in load_config(box).cameras.values()] == ["genicam", "genicam"]

    refused = edgeflow("cameras", "snapshot", box, "-o", tmp_path / "seen")
    assert refused.returncode == 2
    assert "give --every MS" in refused.stderr
    seen = edgeflow("cameras", "snapshot", box, "-o", tmp_path / "seen", "--every", "200", "--json")
    assert seen.returncode == 0, seen.stderr
    told = json.loads(seen.stdout)
    assert (told["views"], told["missing"], told["fault"]) == (["view1", "view2"], [], "")
    with Image.open(tmp_path / "seen" / "contact_sheet.png") as sheet:
        assert sheet.size == (640, 340)

    recorded = edgeflow("record", box, "-n", "4", "-o", tmp_path / "parts", "--every", "200", "--json")
    assert recorded.returncode == 0, recorded.stderr
    names = [line["part"] for line in map(json.loads, recorded.stdout.splitlines()) if line["part"]]
    assert names == ["000001", "000002", "000003", "000004"]
    parts = find_parts(tmp_path / "parts", views=("view1", "view2"))
    assert [part.part_id for part in parts] == names
    assert read_image(parts[0].images["view1"]).shape == (512, 512, 3)

    replayed = tmp_path / "replay.yaml"
    camera = "{kind: replay, parts: parts, recorded_timing: true}"
    replayed.write_text(REST + f"trigger: {{source: free}}\ncameras: {{view1: {camera}, view2: {camera}}}\n")
    with Capture(load_config(replayed), ("view1", "view2"), "s") as capture:
        sets = list(islice(capture.view_sets(), 4))
    assert [view_set.part_id for view_set in sets] == names
    timing = read_recording(tmp_path / "parts")
    zero_ns = sets[0].frames["view1"].captured_ns
    for view_set in sets:
        for view, frame in view_set.frames.items():
            since_ms = timing[view_set.part_id].frames[view].at_ms - timing[names[0]].frames["view1"].at_ms
            assert (frame.captured_ns - zero_ns) / 1e6 == pytest.approx(since_ms, abs=0.01)


def test_a_recording_goes_on_behind_what_is_there(fakes: list[FakeCamera], tmp_path: Path) -> None:
    box = tmp_path / "box.yaml"
    cameras = "cameras: {top: {kind: genicam, serial: FAKE2}}\n"
    box.write_text(REST + "trigger: {source: interval, period_ms: 200}\n" + cameras)
    for _ in range(2):
        done = edgeflow("record", box, "-n", "1", "-o", tmp_path / "parts")
        assert done.returncode == 0, done.stderr
        assert "1 view sets recorded" in done.stdout
    assert [part.part_id for part in find_parts(tmp_path / "parts")] == ["000001", "000002"]
    assert len(read_recording(tmp_path / "parts")) == 2


def test_usb_cameras_are_listed_by_names_that_stay(tmp_path: Path) -> None:
    links = {
        "by-id/usb-Maker_UVC_Camera_SN1-video-index0": "video0",
        "by-id/usb-Maker_UVC_Camera_SN1-video-index1": "video1",
        "by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0": "video0",
        "by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index1": "video1",
        # Its name by id would be the first one's.
        "by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0": "video2",
        "by-path/pci-0000:00:14.0-usbv2-0:2:1.0-video-index0": "video2",
    }
    for name, device in links.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / device)
    found, _ = attached_cameras(tmp_path)
    named, other = [each for each in found if each.config["kind"] == "v4l2"]
    assert named.config["device"] == str(tmp_path / "by-id" / "usb-Maker_UVC_Camera_SN1-video-index0")
    assert named.about == "Maker UVC Camera SN1"
    assert other.config["device"] == str(tmp_path / "by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0")
    assert "no serial number of its own" in other.about


def test_a_serial_of_digits_stays_text_when_pasted() -> None:
    data, _ = read_yaml_text('{kind: genicam, serial: "40012345"}', what="camera")
    assert data["serial"] == "40012345"


@pytest.mark.parametrize("text", ["", "{", '{"part_id": "a"}'])
def test_timing_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(DataError, match=FILE_NAME):
        read_recording(tmp_path)
