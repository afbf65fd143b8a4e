"""A view that shows nothing, or another part, never acquits: frozen, black, white, covered, out of focus."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.cameras.liveness import FrozenViewDetector, Origin, is_same_picture, scene_changed
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig
from edgeflow.config.views import ViewsConfig
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.messages import Alarm
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import CameraError, ConfigError
from edgeflow.monitoring.view_appearance import Baseline, blindness, glance, make_baseline
from edgeflow.monitoring.view_monitor import ViewMonitor, bundle_baseline, check_identity
from edgeflow.scoring.scorer import Scores
from edgeflow.station.view_check import ViewCheck, origin_of

Images = dict[str, RgbImage]
SENSORS = {"kind": "genicam", "address": "10.0.0.1"}


class Told:
    """Records standing alarms as published."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name)
        else:
            self.standing[name] = alarm


@pytest.fixture(scope="module")
def demo(repository: Path) -> Iterator[Bundle]:
    with Bundle.open(repository / "tools" / "demo" / "housing.bundle") as bundle:
        yield bundle


@pytest.fixture(scope="module")
def baseline(demo: Bundle) -> Baseline:
    return bundle_baseline(demo)


@pytest.fixture(scope="module")
def parts(demo: Bundle, repository: Path) -> list[Images]:
    """Model images of good and defective parts."""
    spec = demo.manifest.preprocessing
    found = find_parts(repository / "tools" / "demo" / "parts")[::3]
    return [{v.id: prepare(read_image(p.images[v.id]), v, spec) for v in demo.manifest.views} for p in found]


def noisy(image: RgbImage, seed: int) -> RgbImage:
    """As a sensor sees it: never the same twice."""
    noise = np.random.default_rng(seed).normal(0, 1.5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def spoilt(image: RgbImage, how: str) -> RgbImage:
    if how == "black":
        return noisy(np.zeros_like(image), 1)
    if how == "white":
        return np.full_like(image, 255)
    if how == "covered":
        return noisy(np.full_like(image, 90), 1)
    sigma = image.shape[0] / 100
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


SPOILT = {
    "black": "is black",
    "white": "is white",
    "covered": "shows no detail",
    "unfocused": "is out of focus",
}


# Pictures of different parts.


def seen_by(
    origin: Origin, pictures: list[RgbImage], *, most: int = 3, variety: float = 0.0, moving: bool = True
) -> list[bool]:
    """For every part whether the view is frozen, beside a view in which the scene changes, or only noise."""
    rng = np.random.default_rng(5)
    repetition = FrozenViewDetector({"top": origin, "left": "sensor"}, most=most)
    found = []
    for shown in pictures:
        ground = rng.integers(20, 200, (4, 6, 3), np.uint8) if moving else np.full((4, 6, 3), 90, np.uint8)
        other = noisy(np.asarray(cv2.resize(ground, (96, 64)), np.uint8), len(found))
        images = {"top": shown, "left": other}
        found.append("top" in repetition.frozen(images, images, {"top": variety, "left": 9.0}))
    return found


def picture(value: int) -> RgbImage:
    image = np.full((64, 48, 3), 40, np.uint8)
    image[63, 47, 2] = value  # in a single byte, in the last corner
    return image


def test_a_sensor_that_repeats_a_picture_is_frozen_at_once_until_it_sees_anew() -> None:
    pictures = [picture(value) for value in (1, 2, 2, 2, 3, 2)]
    assert seen_by("sensor", pictures) == [False, False, True, True, False, False]


@pytest.mark.parametrize("origin", ["pictures", "stream"])
@pytest.mark.parametrize("most", [2, 3, 5])
def test_compressed_views_are_frozen_after_so_many_parts_in_a_row(origin: Origin, most: int) -> None:
    pictures = [picture(value) for value in (1, *[2] * (most - 1), 3, *[4] * (most + 1))]
    frozen = seen_by(origin, pictures, most=most)
    assert frozen == [*[False] * 2 * most, True, True]


def test_recordings_may_show_the_same_part_for_ever() -> None:
    assert not any(seen_by("recording", [picture(1)] * 20))


def test_a_still_scene_of_a_stream_whose_time_goes_on_is_not_frozen() -> None:
    assert not any(seen_by("stream", [picture(1)] * 30, moving=False))
    repetition = FrozenViewDetector(dict.fromkeys(("a", "b"), "stream"), most=3)
    images = {"a": picture(1), "b": picture(2)}
    assert not any(repetition.frozen(images, images, dict.fromkeys(images, 9.0)) for _ in range(30))


def test_a_stream_is_judged_by_the_parts_that_another_view_saw() -> None:
    """Still for a while, then parts come: only these count."""
    repetition = FrozenViewDetector({"a": "stream", "b": "sensor"}, most=3)
    found = []
    for number in range(12):
        scene = np.full((64, 96, 3), 90 if number < 8 else 20 * (number % 2), np.uint8)
        images = {"a": picture(1), "b": noisy(scene, number)}
        found.append(repetition.frozen(images, images, {"a": 0.0}))
    assert found == [()] * 9 + [("a",)] * 3


def refined(number: int) -> RgbImage:
    """A picture that stands still, as an encoder makes it finer: by half a grey level."""
    scene = np.full((64, 96, 3), 90, np.uint8)
    scene[::2] += np.uint8(number % 2)
    return scene


@pytest.mark.parametrize(("variety", "frozen"), [(0.0, False), (1.9, False), (2.1, True), (9.0, True)])
def test_a_stream_that_is_only_refined_stands_still_where_parts_are_known_to_differ(
    variety: float, frozen: bool
) -> None:
    assert any(seen_by("stream", [refined(n) for n in range(8)], variety=variety)) == frozen


def test_parts_that_hardly_differ_are_told_from_a_picture_that_stands_still() -> None:
    shown = []
    for number in range(8):
        scene = np.full((64, 96, 3), 90, np.uint8)
        scene[:48] += np.uint8(number % 2)  # by 0.75 grey levels on average
        shown.append(scene)
    assert not any(seen_by("stream", shown, variety=2.1))
    assert any(seen_by("stream", shown, variety=4.0))


def test_a_stream_of_parts_that_differ_is_live() -> None:
    shown = [np.full((64, 96, 3), 90 + 2 * (number % 2), np.uint8) for number in range(20)]
    assert not any(seen_by("stream", shown, variety=50.0))


def test_a_part_that_was_not_scored_says_nothing_about_streams() -> None:
    repetition = FrozenViewDetector({"a": "stream", "b": "sensor"}, most=2)
    for number in range(9):
        assert repetition.frozen({"a": picture(1), "b": picture(number)}, {}, {}) == ()


def test_a_view_that_is_missing_is_judged_when_it_is_there_again() -> None:
    repetition = FrozenViewDetector({"top": "sensor"}, most=3)
    assert repetition.frozen({"top": picture(1)}, {}, {}) == ()
    assert repetition.frozen({}, {}, {}) == ()
    assert repetition.frozen({"top": picture(1)}, {}, {}) == ("top",)


@given(place=st.integers(0, 64 * 48 * 3 - 1), value=st.integers(1, 255))
def test_one_byte_makes_another_picture(place: int, value: int) -> None:
    other = picture(0).copy()
    other.reshape(-1)[place] ^= value
    assert not is_same_picture(picture(0), other)
    assert is_same_picture(picture(0), picture(0).copy())


def test_pictures_of_other_sizes_are_others() -> None:
    assert not is_same_picture(np.zeros((4, 4, 3), np.uint8), np.zeros((2, 8, 3), np.uint8))


def test_a_scene_changes_where_part_of_it_does() -> None:
    scene = np.full((240, 320, 3), 90, np.uint8)
    assert not scene_changed(scene, noisy(scene, 1))
    other = scene.copy()
    other[:60, :80] = 140
    assert scene_changed(noisy(scene, 1), noisy(other, 2))


def test_where_pictures_come_from_follows_from_the_camera() -> None:
    cameras: dict[Origin, list[dict[str, Any]]] = {
        "sensor": [
            SENSORS,
            {"kind": "v4l2", "device": "/dev/v4l/by-id/a", "fourcc": "YUYV"},
        ],
        "pictures": [
            {"kind": "v4l2", "device": "/dev/v4l/by-id/a", "fourcc": "MJPG"},
            {"kind": "v4l2", "device": "/dev/v4l/by-id/a"},
            {"kind": "rtsp", "url": "http://10.0.0.1/video"},
        ],
        "stream": [
            {"kind": "rtsp", "url": "rtsp://10.0.0.1/s"},
            {"kind": "rtsp", "url": "rtsps://10.0.0.1/s"},
        ],
        "recording": [{"kind": "replay", "parts": "parts"}, {"kind": "file", "path": "clip.mkv"}],
    }
    for origin, documents in cameras.items():
        for document in documents:
            config = box({"top": document}).cameras["top"]
            assert origin_of(config) == origin


# One image beside the golden ones.


@pytest.mark.parametrize("how", SPOILT)
def test_a_view_that_shows_nothing_is_told_on_every_part(
    baseline: Baseline, parts: list[Images], how: str
) -> None:
    for part, view in itertools.product(parts, baseline.views):
        found = blindness(glance(spoilt(part[view], how)), baseline.glances[view])
        assert found.startswith(SPOILT[how]), (view, found)


def test_no_good_or_defective_part_makes_a_view_blind(baseline: Baseline, parts: list[Images]) -> None:
    for part, view in itertools.product(parts, baseline.views):
        assert blindness(glance(noisy(part[view], 3)), baseline.glances[view]) == ""
        dimmed = np.asarray(part[view] * 0.5, np.uint8)
        assert blindness(glance(dimmed), baseline.glances[view]) == ""


def test_views_that_are_dark_bright_or_plain_by_nature_are_not_blind() -> None:
    for level in (2, 128, 253):
        images = [noisy(np.full((96, 96, 3), level, np.uint8), seed) for seed in range(4)]
        baseline = make_baseline([{"top": images[0]}])
        assert all(blindness(glance(image), baseline.glances["top"]) == "" for image in images[1:])


def test_a_plain_view_can_still_be_black_or_white() -> None:
    plain = make_baseline([{"top": noisy(np.full((96, 96, 3), 128, np.uint8), 1)}]).glances["top"]
    assert blindness(glance(np.zeros((96, 96, 3), np.uint8)), plain).startswith("is black")
    assert blindness(glance(np.full((96, 96, 3), 255, np.uint8)), plain).startswith("is white")


def test_golden_parts_tell_by_how_much_parts_differ() -> None:
    levels = (90, 93, 100)
    golden = [{"top": np.full((64, 64, 3), level, np.uint8)} for level in levels]
    assert make_baseline(golden).variety == {"top": 3.0}
    assert make_baseline(golden[:1]).variety == {"top": 0.0}


@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_images_of_any_size_can_be_measured(height: int, width: int) -> None:
    measured = glance(np.full((height, width, 3), 77, np.uint8))
    assert measured.brightness == pytest.approx(77)
    assert measured.contrast == pytest.approx(0, abs=1e-3)
    assert measured.sharpness == pytest.approx(0, abs=1e-3)


# The part on the line.


def box(cameras: Mapping[str, object], **views: object) -> BoxConfig:
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": {"source": "mqtt"},
        "cameras": cameras,
        "sync": {"max_skew_ms": 5.0},
        "decision": {"deadline_ms": 1000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
        "views": views,
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)


def part_of(images: Images, number: int) -> tuple[ViewSet, Scores]:
    frames = {
        view: Frame(view=view, image=image, captured_ns=number, frame_id=number)
        for view, image in images.items()
    }
    inputs = np.stack(list(images.values()))
    maps = np.zeros((len(images), 2, 2), np.float32)
    none = dict.fromkeys(images, 0.0)
    scores = Scores(
        inputs=inputs, maps=maps, raw_maps=maps, masks=None, views=none, part=0.0, highest=0.0
    )  # fmt: skip
    name = str(number)
    view_set = ViewSet(
        trigger_id=name, part_id=name, triggered_ns=number, frames=frames, missing=(), skew_ms=0.0
    )  # fmt: skip
    return view_set, scores


def checked(
    check: ViewCheck, baseline: Baseline, parts: list[Images], *, scored: bool = True, first: int = 0
) -> list[ViewSet]:
    sets = []
    for number, images in enumerate(parts, first):
        view_set, scores = part_of(images, number)
        sets.append(check.checked(view_set, scores if scored else None, baseline))
    return sets


def live(parts: list[Images]) -> list[Images]:
    return [
        {view: noisy(image, 100 * number + place) for place, (view, image) in enumerate(part.items())}
        for number, part in enumerate(parts)
    ]


def cameras(baseline: Baseline, **kinds: object) -> dict[str, object]:
    return {view: kinds.get(view, SENSORS) for view in baseline.views}


def test_live_views_of_all_parts_pass_without_an_alarm(baseline: Baseline, parts: list[Images]) -> None:
    told = Told()
    check = ViewCheck(box(cameras(baseline)), Alarms("s", told))
    assert {(s.fault, s.fault_code) for s in checked(check, baseline, live(parts))} == {("", None)}
    assert told.standing == {}


@pytest.mark.parametrize("scored", [True, False])
def test_a_frozen_view_is_named_until_it_lives_again(
    baseline: Baseline, parts: list[Images], scored: bool
) -> None:
    told = Told()
    check = ViewCheck(box(cameras(baseline)), Alarms("s", told))
    alive = live(parts)
    stuck = [{**part, "C3": alive[0]["C3"]} for part in alive[1:6]]
    first, *frozen = checked(check, baseline, [alive[0], *stuck], scored=scored)
    assert first.fault == ""
    assert {view_set.fault_code for view_set in frozen} == {"view_frozen"}
    assert all(view_set.fault.startswith("view 'C3' is frozen") for view_set in frozen)
    assert list(told.standing) == ["camera_frozen.C3"]
    again = checked(check, baseline, alive[6:9], scored=scored)
    assert {view_set.fault for view_set in again} == {""}
    assert told.standing == {}, "three good parts end it"


def test_an_alarm_outlasts_two_good_parts(baseline: Baseline, parts: list[Images]) -> None:
    told = Told()
    check = ViewCheck(box(cameras(baseline)), Alarms("s", told))
    alive = live(parts)
    checked(check, baseline, [alive[0], alive[0], *alive[1:3]])
    assert "camera_frozen.C1" in told.standing


@pytest.mark.parametrize("how", SPOILT)
def test_a_blind_view_makes_its_part_faulty_and_is_an_alarm(
    baseline: Baseline, parts: list[Images], how: str
) -> None:
    told = Told()
    check = ViewCheck(box(cameras(baseline)), Alarms("s", told))
    alive = live(parts)
    bad = {**alive[1], "C5": spoilt(alive[1]["C5"], how)}
    good, blind, *again = checked(check, baseline, [alive[0], bad, alive[2], alive[3]])
    assert good.fault == ""
    assert blind.fault.startswith(f"view 'C5' {SPOILT[how]}")
    assert blind.fault_code == "view_blind"
    assert list(told.standing) == ["camera_blind.C5"]
    assert {view_set.fault for view_set in again} == {""}


def test_what_was_wrong_before_stays_the_first_reason(baseline: Baseline, parts: list[Images]) -> None:
    check = ViewCheck(box(cameras(baseline)))
    view_set, scores = part_of({**live(parts)[0], "C5": spoilt(parts[0]["C5"], "black")}, 0)
    skewed = ViewSet(**{**vars(view_set), "fault": "skew of 9 ms", "fault_code": "skew"})
    found = check.checked(skewed, scores, baseline)
    assert found.fault.startswith("skew of 9 ms; view 'C5' is black")
    assert found.fault_code == "skew"


def test_a_box_may_only_be_told_or_left_alone(baseline: Baseline, parts: list[Images]) -> None:
    for mode, alarms in (("alarm", ["camera_frozen.C1", "camera_blind.C2"]), ("off", [])):
        told = Told()
        check = ViewCheck(box(cameras(baseline), unusable=mode), Alarms("s", told))
        first = live(parts)[0]
        second = {**live(parts)[1], "C1": first["C1"], "C2": spoilt(first["C2"], "white")}
        assert [s.fault for s in checked(check, baseline, [first, second])] == ["", ""]
        assert list(told.standing) == alarms


def test_compressed_views_follow_the_box_file(baseline: Baseline, parts: list[Images]) -> None:
    mjpeg = {"kind": "rtsp", "url": "http://10.0.0.1/video"}
    check = ViewCheck(box(cameras(baseline, C2=mjpeg), frozen_after=4))
    stuck = [{**part, "C2": parts[0]["C2"]} for part in live(parts)[:6]]
    assert [bool(view_set.fault) for view_set in checked(check, baseline, stuck)] == [False] * 3 + [True] * 3


def test_parts_without_images_are_passed_over(baseline: Baseline) -> None:
    check = ViewCheck(box(cameras(baseline)))
    empty = ViewSet(trigger_id="t", part_id="p", triggered_ns=0, frames={}, missing=(), skew_ms=None)
    assert check.checked(empty, None, baseline) is empty


# Before the line is ready, and beside it.


@pytest.mark.parametrize("how", ["black", "white", "covered"])
@pytest.mark.parametrize("view", ["C1", "C5"])
def test_a_blind_view_at_the_start_is_blamed_itself_and_not_its_neighbours(
    demo: Bundle, baseline: Baseline, parts: list[Images], how: str, view: str
) -> None:
    for part in parts[:6]:
        told = Told()
        dark = {**part, view: spoilt(part[view], how)}
        frames = {v: Frame(view=v, image=image, captured_ns=0, frame_id=0) for v, image in dark.items()}
        check_identity(frames, demo, baseline, ViewsConfig(), Alarms("s", told))
        assert list(told.standing) == [f"camera_blind.{view}"]
        assert SPOILT[how] in told.standing[f"camera_blind.{view}"].text


def test_cameras_that_are_swapped_are_found_beside_a_black_one(
    demo: Bundle, baseline: Baseline, parts: list[Images]
) -> None:
    part = parts[0]
    dark = {**part, "C1": part["C3"], "C3": part["C1"], "C5": spoilt(part["C5"], "black")}
    frames = {v: Frame(view=v, image=image, captured_ns=0, frame_id=0) for v, image in dark.items()}
    with pytest.raises(CameraError, match="'C1' shows view 'C3', 'C3' shows view 'C1'; exchange"):
        check_identity(frames, demo, baseline, ViewsConfig(), Alarms("s", Told()))


def test_the_watch_beside_the_line_blames_no_neighbour_of_a_black_view(
    baseline: Baseline, parts: list[Images]
) -> None:
    told = Told()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    for part in parts:
        watch.look({**part, "C5": spoilt(part["C5"], "black")})
    assert list(told.standing) == ["camera_view.C5"]
