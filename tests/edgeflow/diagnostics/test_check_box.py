"""A box looked at before it runs: everything that is wrong at once, with what to do."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from edgeflow.bundles.signing import sign_bundle
from edgeflow.diagnostics.check_box import Finding, Report, check_box
from edgeflow.security.keys import new_key, read_private_key
from tests.edgeflow.cameras.streams.test_rtsp import MjpegCamera, jpeg
from tests.support.brokers import Broker, mosquitto

NULL_DEVICE = "/dev/null"  # a character device that everyone may read and write, as a camera is


def write_bundle(
    path: Path,
    views: tuple[str, ...],
    graph_text: str = "<net/>",
    *,
    normal_parts: int = 99,
    **geometry: object,
) -> None:
    """A bundle whose files are what its manifest says, around a graph that computes nothing."""
    scale = {"centre": 0.0, "threshold": 1.0}
    files = {name: name.encode() for name in ("maps.npz", *(f"{view}.png" for view in views))}
    files["model.xml"] = graph_text.encode()
    tensors = {
        "input": {"name": "images", "dtype": "uint8", "shape": [len(views), 8, 8, 3]},
        "output": {"name": "maps", "dtype": "float32", "shape": [len(views), 2, 2]},
    }
    graph = {"backend": "openvino", "precision": "int8", "model": "model.xml", **tensors}
    manifest = {
        "schema_version": "1.0",
        "name": "bracket",
        "created_by": "a test",
        "views": [{"id": view, **geometry} for view in views],
        "preprocessing": {"height": 8, "width": 8},
        "graphs": [{**graph, "measured_error": 0.0, "tolerance": 0.1}],
        "scoring": {},
        "thresholds": {
            "part": scale, "views": dict.fromkeys(views, scale), "false_reject_rate": 0.01,
            "normal_parts": normal_parts,
        },
        "golden": [
            {"part_id": "p", "images": {view: f"{view}.png" for view in views}, "expected": "maps.npz"}
        ],
        "recipe": {},
        "provenance": {},
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in files.items()
        },
    }  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.fixture
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that lets everybody in."""
    broker = Broker(mosquitto(), tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker.port
    broker.kill()


@pytest.fixture
def silent_port() -> int:
    """A port of this computer where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def box(tmp_path: Path, listener: int) -> Path:
    """A box file with which everything is well."""
    write_bundle(tmp_path / "current.bundle", ("top", "left"))
    for part in ("p1", "p2"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "parts" / part / "left.png")
    file = tmp_path / "box.yaml"
    file.write_text(
        f"""\
station: {{site: a, line: b, station: c}}
bundle: current.bundle
trigger: {{source: interval, period_ms: 500, timeout_ms: 100}}
cameras:
  top: {{kind: v4l2, device: {NULL_DEVICE}}}
  left: {{kind: replay, parts: parts}}
sync: {{max_skew_ms: 20}}
decision: {{deadline_ms: 200}}
runtime: {{backend: openvino, cache_dir: cache}}
mqtt: {{host: 127.0.0.1, port: {listener}}}
outbox: {{path: state/outbox.db}}
evidence: {{dir: state/evidence, min_free_gb: 0}}
"""
    )
    return file


def texts(report: Report, state: str) -> list[str]:
    return [f"{found.name}: {found.text}" for found in report.findings if found.state == state]


def only(report: Report, state: str) -> str:
    """The one finding that is not well."""
    (found,) = [finding for finding in report.findings if finding.state != "ok"]
    assert found.state == state
    assert report.ok is (state != "failed")
    return f"{found.name}: {found.text}"


def test_a_box_with_which_all_is_well_is_ok_in_every_point(box: Path) -> None:
    report = check_box(box)
    assert [finding.name for finding in report.findings] == [
        "box file", "bundle", "back end", "camera top", "camera left", "outbox", "evidence", "cache",
        "broker",
    ]  # fmt: skip
    assert {finding.state for finding in report.findings} == {"ok"}
    assert report.ok
    assert f"{box.parent / 'parts'}: 2 recorded parts with view left" in report.findings[4].text


def test_bundle_that_proves_too_little_is_a_grave_warning_and_no_reason_to_stop(box: Path) -> None:
    write_bundle(box.parent / "current.bundle", ("top", "left"), normal_parts=3)
    report = check_box(box)
    text = only(report, "warning")
    assert "bundle: 3 held-out normal parts are too few" in text
    assert "at least 99" in text
    assert [finding.name for finding in report.findings if finding.grave] == ["bundle"]


def test_the_bundle_of_every_product_is_looked_at_with_its_own_views(box: Path) -> None:
    write_bundle(box.parent / "left.bundle", ("left",))
    write_bundle(box.parent / "more.bundle", ("left", "bottom"))
    products = "{A: current.bundle, B: left.bundle, C: more.bundle, D: none.bundle}"
    box.write_text(box.read_text().replace("bundle: current.bundle", f"products: {products}\nproduct: A"))
    report = check_box(box)
    found = [finding for finding in report.findings if finding.name == "bundle"]
    assert [finding.state for finding in found] == ["ok", "ok", "failed", "failed"]
    assert "product A: " in found[0].text
    assert "views top, left" in found[0].text
    assert found[1].text.endswith("views left"), "B's bundle has no use for the camera at the top"
    assert "cameras.bottom: missing; the bundle has this view" in found[2].text
    assert "none.bundle: no such bundle" in found[3].text


def test_cameras_with_settings_of_a_product_are_looked_at_too(box: Path) -> None:
    products = "{A: current.bundle, B: {bundle: current.bundle, cameras: {left: {parts: nowhere}}}}"
    box.write_text(box.read_text().replace("bundle: current.bundle", f"products: {products}\nproduct: A"))
    failed = texts(check_box(box), "failed")
    assert failed[0].startswith(f"camera left: product B: {box.parent}/nowhere: no such folder")
    assert len(failed) == 1, "those of all products are as they should be"


def test_a_memory_in_which_two_graphs_cannot_lie_is_told_before_the_start(box: Path) -> None:
    products = "{A: current.bundle, B: current.bundle}"
    box.write_text(box.read_text().replace("bundle: current.bundle", f"products: {products}\nproduct: A"))
    assert all(each.name != "memory" for each in check_box(box).findings)
    for memory_mb, state in (("0.00001", "failed"), ("1000", "ok")):
        found = [
            each
            for each in check_box(box, (f"runtime.memory_mb={memory_mb}",)).findings
            if each.name == "memory"
        ]
        assert [each.state for each in found] == [state]
        assert "the graphs of 'A' and 'B' alone take" in found[0].text


def test_looking_leaves_nothing_behind(box: Path) -> None:
    before = sorted(box.parent.rglob("*"))
    check_box(box)
    assert sorted(box.parent.rglob("*")) == before


def test_everything_that_is_wrong_is_found_at_once(box: Path, silent_port: int) -> None:
    (box.parent / "file").touch()
    report = check_box(
        box,
        (
            "bundle=none.bundle", "cameras.top.device=/dev/v4l/by-id/none", "cameras.left.parts=nowhere",
            "outbox.path=file/outbox.db", "evidence.dir=file/evidence", "runtime.cache_dir=file",
            f"mqtt.port={silent_port}", "mqtt.password_file=none", "trigger.timeout_ms=200",
        ),
    )  # fmt: skip
    assert not report.ok
    folder = box.parent
    failed = texts(report, "failed")
    expected = [
        f"bundle: {folder}/none.bundle: no such bundle; make one with",
        "camera top: /dev/v4l/by-id/none: No such file or directory; check its cable, then ls /dev/v4l/by-id",
        f"camera left: {folder}/nowhere: no such folder",
        f"outbox: {folder}/file: cannot be written: Not a directory",
        f"evidence: {folder}/file/evidence: cannot be written: Not a directory",
        f"broker: mqtt.password_file: no such file: {folder}/none",
        "broker: mqtt.password_file, mqtt.password_env: go with mqtt.username",
    ]
    assert [found[: len(start)] for found, start in zip(failed, expected, strict=True)] == expected
    assert texts(report, "warning") == [
        "box file: trigger.timeout_ms 200 is not below decision.deadline_ms 200: a part with a missing view "
        "is always decided too late; lower timeout_ms",
        f"cache: {folder}/file: cannot be written: Not a directory; give this user the right, or change it; "
        "until then every start compiles the models anew",
        f"broker: 127.0.0.1:{silent_port}: nothing listens there; start the broker, or check mqtt.host and "
        "mqtt.port",
    ]


def test_a_box_file_that_cannot_be_used_gives_a_finding_per_problem(box: Path) -> None:
    report = check_box(box, ("mqtt.port=x", "runtime.backend=tensorrt"))
    assert texts(report, "failed") == [
        "box file: runtime.backend (--set): unknown value 'tensorrt'; allowed: openvino, onnxruntime",
        "box file: mqtt.port (--set): expected a whole number, got 'x' (text)",
    ]
    assert only(check_box(box.parent / "none.yaml"), "failed").endswith(
        "No such file or directory; check the path"
    )


def test_an_altered_bundle_is_found(box: Path) -> None:
    bundle = box.parent / "current.bundle"
    bundle.write_bytes(bundle.read_bytes().replace(b"<net/>PK", b"<nut/>PK", 1))
    assert "model.xml" in only(check_box(box), "failed")


def test_views_and_graph_of_the_bundle_must_fit_the_box(box: Path) -> None:
    write_bundle(box.parent / "current.bundle", ("left", "under"))
    report = check_box(box, ("runtime.precision=fp32",))
    assert texts(report, "failed") == [
        "bundle: cameras.under: missing; the bundle has this view",
        "bundle: cameras.top: no view of the bundle; its views: left, under",
        f"bundle: {box.parent}/current.bundle: no graph for openvino in fp32; "
        "the bundle holds: openvino-int8",
    ]


def test_a_camera_of_another_size_than_the_crop_was_made_for_is_found(box: Path) -> None:
    write_bundle(box.parent / "current.bundle", ("top", "left"), crop=[0, 0, 64, 64], camera_size=[640, 480])
    for part in ("p1", "p2"):
        Image.new("RGB", (640, 480)).save(box.parent / "parts" / part / "left.png")
    sizes = ("cameras.top.width=640", "cameras.top.height=480")
    assert check_box(box, sizes).ok
    report = check_box(box, ("cameras.top.width=1280", "cameras.top.height=720"))
    assert texts(report, "failed") == [
        "bundle: cameras.top: set to 1280x720, but the bundle's crop and rectification were made for 640x480"
    ]


SIZE = "but the bundle's crop and rectification were made for 640x480"
CROP = "but the bundle's crop of 100x40 at 50,8 reaches to 150x48: outside of the picture"


def picture_box(box: Path, kind: str, size: tuple[int, int]) -> tuple[str, str]:
    """A camera of a kind that gives pictures of this size, and what tells that size."""
    folder, (width, height) = box.parent, size
    if kind == "replay":
        for part in ("p1", "p2"):
            Image.new("RGB", size).save(folder / "parts" / part / "top.png")
        return "{kind: replay, parts: parts}", f"{folder}/parts/p1/top.png is"
    if kind == "genicam":
        (folder / "top.yaml").write_text(f"features: {{Width: {width}, Height: {height}}}\n")
        return "{kind: genicam, serial: A1, features: top.yaml}", "top.yaml sets"
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        black = np.zeros((height, width, 3), np.uint8)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(stream.encode(None))
    return "{kind: file, path: clip.mp4}", f"{folder}/clip.mp4 gives"


@pytest.mark.parametrize("kind", ["replay", "genicam", "file"])
@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ({"crop": [0, 0, 64, 48], "camera_size": [640, 480]}, SIZE),
        ({"crop": [50, 8, 100, 40]}, CROP),
    ],
    ids=["size", "crop"],
)
def test_pictures_of_every_kind_of_camera_are_compared_with_the_crop(
    box: Path, kind: str, geometry: dict[str, object], words: str
) -> None:
    write_bundle(box.parent / "current.bundle", ("top",), **geometry)
    text = box.read_text()
    box.write_text("\n".join(line for line in text.splitlines() if not line.startswith("  left:")))
    fitting = (640, 480) if "camera_size" in geometry else (150, 48)
    for size, expected in ((fitting, []), ((128, 96), [words])):
        camera, source = picture_box(box, kind, size)
        failed = texts(check_box(box, (f"cameras.top={camera}",)), "failed")
        told = [text for text in failed if text.startswith("bundle: ")]
        assert told == [f"bundle: cameras.top: {source} 128x96, {one}" for one in expected]


@pytest.mark.timeout(60)
def test_a_stream_is_looked_at_where_no_box_uses_it(box: Path) -> None:
    write_bundle(box.parent / "current.bundle", ("top",), crop=[0, 0, 64, 48], camera_size=[640, 480])
    text = box.read_text()
    box.write_text("\n".join(line for line in text.splitlines() if not line.startswith("  left:")))
    stream = MjpegCamera()
    try:
        url = f"http://127.0.0.1:{stream.url.rpartition(':')[2]}"
        failed = texts(check_box(box, (f"cameras.top={{kind: rtsp, url: {url}}}",)), "failed")
    finally:
        stream.close()
    height, width = Image.open(io.BytesIO(jpeg(200))).size[::-1]
    shown = url.rpartition("/")[0]
    assert failed == [f"bundle: cameras.top: {shown} gives {width}x{height}, {SIZE}"]


def test_a_recording_of_pictures_of_two_sizes_is_found(box: Path) -> None:
    """Of a camera that was set otherwise for a while."""
    write_bundle(box.parent / "current.bundle", ("top", "left"), crop=[0, 0, 2, 2], camera_size=[4, 4])
    assert check_box(box).ok
    Image.new("RGB", (5, 4)).save(box.parent / "parts" / "p2" / "left.png")
    (found,) = texts(check_box(box), "failed")
    assert "parts/p2/left.png is 5x4, but" in found


def test_recorded_parts_without_the_view_are_all_named_up_to_a_limit(box: Path) -> None:
    for number in range(30):
        (box.parent / "parts" / f"q{number}").mkdir()
        Image.new("RGB", (4, 4)).save(box.parent / "parts" / f"q{number}" / "other.png")
    failed = texts(check_box(box), "failed")
    assert failed[0] == "camera left: part q0: missing view left"
    assert failed[-1] == "camera left: and 10 more problems"
    assert len(failed) == 21


def test_what_is_not_a_device_is_told(box: Path) -> None:
    assert "not a camera device" in only(check_box(box, ("cameras.top.device=/dev/shm",)), "failed")


def test_a_video_file_must_exist(box: Path) -> None:
    found = only(check_box(box, ("cameras.top={kind: file, path: clip.mp4}",)), "failed")
    assert found == f"camera top: {box.parent}/clip.mp4: no such file; check cameras.top.path"
    (box.parent / "clip.mp4").touch()
    assert check_box(box, ("cameras.top={kind: file, path: clip.mp4}",)).ok


def test_two_views_of_one_camera_are_refused(box: Path) -> None:
    found = check_box(box, (f"cameras.left={{kind: v4l2, device: {NULL_DEVICE}}}",))
    assert only(found, "failed") == f"camera top: {NULL_DEVICE}: also of view left"


def test_a_network_camera_is_tried_at_its_address_and_its_password_not_shown(
    box: Path, listener: int, silent_port: int
) -> None:
    source = "cameras.top={{kind: rtsp, url: 'rtsp://user:hunter2@127.0.0.1:{}/stream?key=hunter2'}}"
    report = check_box(box, (source.format(listener),))
    assert report.ok
    assert f"camera top: rtsp://127.0.0.1:{listener}: answers" in texts(report, "ok")
    found = only(check_box(box, (source.format(silent_port),)), "failed")
    assert found.startswith(f"camera top: rtsp://127.0.0.1:{silent_port}: not reachable: ")
    assert "hunter2" not in f"{report} {found}"


@pytest.mark.parametrize(
    ("source", "state", "text"),
    [("rtsp://host:x/a", "failed", "not an address"), ("rtsp://a..b/", "failed", "not reachable")],
)  # fmt: skip
def test_odd_addresses_of_network_cameras_are_told(box: Path, source: str, state: str, text: str) -> None:
    assert text in only(check_box(box, (f"cameras.top={{kind: rtsp, url: '{source}'}}",)), state)


def test_a_broker_name_that_cannot_be_one_is_only_a_warning(box: Path) -> None:
    assert only(check_box(box, ("mqtt.host=a..b",)), "warning").startswith("broker: a..b:")


def test_certificates_that_are_none_are_found(box: Path) -> None:
    (box.parent / "ca.pem").write_text("no certificate")
    found = only(check_box(box, ("mqtt.tls={ca: ca.pem}",)), "failed")
    assert f"mqtt.tls.ca {box.parent}/ca.pem: not a certificate that can be used" in found


def test_a_disk_with_too_little_room_for_evidence_is_a_warning(box: Path) -> None:
    found = only(check_box(box, ("evidence.min_free_gb=1000000000",)), "warning")
    assert "less than evidence.min_free_gb 1e+09: nothing would be kept; make room" in found


def test_an_outbox_path_that_is_a_folder_is_refused(box: Path) -> None:
    assert "outbox.path names a file" in only(check_box(box, ("outbox.path=parts",)), "failed")


def test_folders_that_cannot_be_written_are_found(box: Path) -> None:
    """Below /proc nobody can make anything, not even the superuser."""
    report = check_box(box, ("outbox.path=/proc/edgeflow/outbox.db", "evidence.dir=/proc/edgeflow/evidence"))
    assert [found.partition(":")[0] for found in texts(report, "failed")] == ["outbox", "evidence"]
    assert all("cannot be written" in found for found in texts(report, "failed"))


_FULL_DISK = """
import resource, sys
from pathlib import Path
from edgeflow.diagnostics.check_box import check_box
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
for found in check_box(Path(sys.argv[1])).findings:
    print(found.name, found.state, sep=",")
"""


def test_a_full_disk_fails_what_must_be_kept_and_warns_of_the_cache(box: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(box)], capture_output=True, text=True, check=True
    )
    found = dict(line.split(",") for line in done.stdout.splitlines())
    assert {name for name, state in found.items() if state == "failed"} == {"outbox", "evidence"}
    assert {name for name, state in found.items() if state == "warning"} == {"cache"}


def test_findings_are_plain_values() -> None:
    finding = Finding(name="a", state="warning", text="b")
    assert Report(findings=(finding,)).ok
    assert not Report(findings=(finding, Finding(name="a", state="failed", text="b"))).ok


def test_a_bundle_that_the_box_does_not_trust_is_refused(box: Path) -> None:
    pair = new_key(box.parent / "line", None)
    text = only(check_box(box, (f"trust.keys=[{pair.public.name}]",)), "failed")
    assert "bundle: " in text
    assert f"not signed, and this box runs only what was signed by {pair.id}" in text
    sign_bundle(box.parent / "current.bundle", read_private_key(pair.private, None))
    assert check_box(box, (f"trust.keys=[{pair.public.name}]",)).ok
    assert not (box.parent / "state").exists()


def test_a_graph_that_does_more_than_compute_is_refused(box: Path) -> None:
    loop = '<net><layers><layer type="Loop" version="opset5"/></layers></net>'
    write_bundle(box.parent / "current.bundle", ("top", "left"), loop)
    text = only(check_box(box), "failed")
    assert "bundle: model.xml: uses the operation 'Loop', which is not allowed" in text


def test_keys_of_who_may_command_are_looked_at(box: Path) -> None:
    report = check_box(box, ("commands.issuers={mes: {secret_file: none.secret}}",))
    assert "commands.issuers.mes: No such file" in only(report, "failed")
    report = check_box(box, ("commands.allow=[reload]",))
    assert "not a link" in " ".join(texts(report, "warning"))


def test_a_feature_file_that_cannot_be_used_is_found(box: Path) -> None:
    settings = ("cameras.top={kind: genicam, serial: '40012345', features: none.yaml}",)
    found = [text for text in texts(check_box(box, settings), "failed") if text.startswith("camera top")]
    assert found == [
        f"camera top: {box.parent}/none.yaml: cannot be read: No such file or directory; check the path"
    ]


def test_two_views_with_one_serial_are_refused(box: Path) -> None:
    camera = "{kind: genicam, serial: '40012345'}"
    failed = texts(check_box(box, (f"cameras.top={camera}", f"cameras.left={camera}")), "failed")
    assert "camera top: serial 40012345: also of view left" in failed


def test_an_address_of_metrics_that_is_taken_is_found(box: Path, listener: int) -> None:
    """A broker has the port; a box of this name that runs would be told from it."""
    text = only(check_box(box, (f"metrics.listen=127.0.0.1:{listener}",)), "failed")
    assert (
        f"metrics: metrics.listen 127.0.0.1:{listener}: cannot be listened at: Address already in use" in text
    )


def test_a_free_address_of_metrics_is_well(box: Path, silent_port: int) -> None:
    report = check_box(box, (f"metrics.listen=127.0.0.1:{silent_port}",))
    assert f"metrics: http://127.0.0.1:{silent_port}/metrics: free for the box" in texts(report, "ok")


def test_a_port_that_does_not_exist_is_refused_with_the_box_file(box: Path) -> None:
    report = check_box(box, ("metrics.listen=127.0.0.1:70000",))
    assert "give an address and a port up to 65535" in only(report, "failed")
