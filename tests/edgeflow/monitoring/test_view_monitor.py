"""Cameras at the wrong view, moved, blurred or badly exposed, on the demo's bundle and rendered parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.config.views import ViewsConfig
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.messages import Alarm
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import CameraError
from edgeflow.monitoring.view_appearance import Baseline, likenesses, make_baseline, swapped_views
from edgeflow.monitoring.view_monitor import ViewMonitor, bundle_baseline, check_identity

Images = dict[str, RgbImage]


class Told:
    """Records standing alarms as published."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name)
        else:
            self.standing[name] = alarm


class Counting(Told):
    """Also the alarms that ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        super().publish_alarm(name, alarm)
        self.ended += [name] if alarm is None else []


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
    found = find_parts(repository / "tools" / "demo" / "parts")[::4]
    return [{v.id: prepare(read_image(p.images[v.id]), v, spec) for v in demo.manifest.views} for p in found]


def exchanged(part: Images, one: str, other: str) -> Images:
    return {**part, one: part[other], other: part[one]}


def test_no_part_makes_cameras_seem_swapped(baseline: Baseline, parts: list[Images]) -> None:
    assert [swapped_views(likenesses(part, baseline), baseline) for part in parts] == [{}] * len(parts)


@pytest.mark.parametrize(("one", "other"), [("C1", "C2"), ("C2", "C4"), ("C4", "C5")])
def test_swapped_cameras_are_named_on_every_part(
    baseline: Baseline, parts: list[Images], one: str, other: str
) -> None:
    for part in parts[::3]:
        found = swapped_views(likenesses(exchanged(part, one, other), baseline), baseline)
        assert found == {one: other, other: one}


def test_views_that_are_much_alike_are_told_apart_by_several_parts(
    baseline: Baseline, parts: list[Images]
) -> None:
    mean = np.mean([likenesses(exchanged(p, "C3", "C5"), baseline) for p in parts[:6]], axis=0)
    assert swapped_views(mean, baseline) == {"C3": "C5", "C5": "C3"}


def test_three_cameras_in_a_circle_are_named(baseline: Baseline, parts: list[Images]) -> None:
    part = parts[0]
    turned = {**part, "C1": part["C2"], "C2": part["C4"], "C4": part["C1"]}
    assert swapped_views(likenesses(turned, baseline), baseline) == {"C1": "C2", "C2": "C4", "C4": "C1"}


def test_without_a_part_nothing_is_said(baseline: Baseline, parts: list[Images]) -> None:
    rng = np.random.default_rng(0)
    empty = {view: rng.integers(80, 120, image.shape, np.uint8) for view, image in parts[0].items()}
    assert swapped_views(likenesses(empty, baseline), baseline) is None


def frames(part: Images) -> dict[str, Frame]:
    return {v: Frame(view=v, image=image, captured_ns=0, frame_id=0) for v, image in part.items()}


def test_a_box_refuses_swapped_cameras_before_it_is_ready_or_says_so(
    demo: Bundle, baseline: Baseline, parts: list[Images]
) -> None:
    told = Told()
    swapped = frames(exchanged(parts[0], "C1", "C3"))
    with pytest.raises(
        CameraError, match="'C1' shows view 'C3', 'C3' shows view 'C1'; exchange their cables"
    ):
        check_identity(swapped, demo, baseline, ViewsConfig(), Alarms("s", told))
    check_identity(swapped, demo, baseline, ViewsConfig(at_start="alarm"), Alarms("s", told))
    assert list(told.standing) == ["camera_swapped"]
    told = Told()
    check_identity(frames(parts[0]), demo, baseline, ViewsConfig(), Alarms("s", told))
    check_identity({}, demo, baseline, ViewsConfig(), Alarms("s", told))
    assert told.standing == {}


def shown(watch: ViewMonitor, parts: list[Images]) -> None:
    for part in parts:
        watch.look(part)


def test_good_cameras_raise_no_alarm_and_a_swap_is_found_while_the_line_runs(
    demo: Bundle, baseline: Baseline, parts: list[Images]
) -> None:
    told = Told()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    shown(watch, parts)
    assert told.standing == {}
    shown(watch, [exchanged(part, "C2", "C5") for part in parts])
    assert "'C2' shows view 'C5'" in told.standing["camera_swapped"].text


def changed(image: RgbImage, how: str) -> RgbImage:
    if how == "blurred":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0), np.uint8)
    if how == "moved":
        return np.ascontiguousarray(np.roll(image, 20, axis=1))
    gain = {"dark": 0.5, "bright": 1.6}[how]
    return np.asarray(np.clip(image * gain, 0, 255), np.uint8)


@pytest.mark.parametrize(
    ("how", "words"),
    [("blurred", "is blurred"), ("moved", "has moved"), ("dark", "is too dark"), ("bright", "is too bright")],
)
def test_a_camera_that_is_not_as_it_was_is_an_alarm_until_it_is_again(
    demo: Bundle, baseline: Baseline, parts: list[Images], how: str, words: str
) -> None:
    told = Told()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    shown(watch, [{**part, "C2": changed(part["C2"], how)} for part in parts])
    alarm = told.standing["camera_view.C2"]
    assert alarm.text.startswith("view 'C2' ")
    assert words in alarm.text
    assert [name for name in told.standing if name != "camera_view.C2"] == []
    shown(watch, parts)
    assert told.standing == {}


def test_a_watch_ends_at_once_and_never_holds_up_the_line(
    demo: Bundle, baseline: Baseline, parts: list[Images]
) -> None:
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", Told()))
    watch.start()
    for part in parts:
        watch.offer(part, baseline)
    watch.close()
    assert not watch._thread.is_alive()
    watch.close()


def test_parts_of_bundles_that_take_turns_are_compared_with_their_own(
    baseline: Baseline, parts: list[Images]
) -> None:
    """The other bundle's golden parts are brighter: its parts do not count for this one, nor hide a swap."""
    told = Told()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    bright = [{view: 255 - (255 - image) // 2 for view, image in part.items()} for part in parts]
    other = make_baseline(bright[:4])
    for part, brighter in zip(parts, bright, strict=True):
        watch.look(part, baseline)
        watch.look(brighter, other)
    assert told.standing == {}
    for part in parts:
        watch.look(exchanged(part, "C2", "C5"), baseline)
    assert "'C2' shows view 'C5'" in told.standing["camera_swapped"].text


def test_an_alarm_of_one_product_stands_while_another_product_finds_nothing(
    baseline: Baseline, parts: list[Images]
) -> None:
    told = Counting()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    bright = [{view: 255 - (255 - image) // 2 for view, image in part.items()} for part in parts]
    other = make_baseline(bright[:4])
    for part, brighter in zip(parts, bright, strict=True):
        dark = {**part, "C1": part["C1"] // 3}
        watch.look(exchanged(dark, "C2", "C5"), baseline, "A")
        watch.look(brighter, other, "B")
    assert {name.partition(".")[0] for name in told.standing} == {"camera_view", "camera_swapped"}
    assert told.ended == []
    assert told.standing["camera_view.C1"].text.endswith("(seen with parts of product 'A')")
    assert told.standing["camera_swapped"].text.endswith("(seen with parts of product 'A')")
    for part in parts:
        watch.look(part, baseline, "A")
    assert told.standing == {}


def test_an_alarm_of_a_product_that_runs_no_more_ends(baseline: Baseline, parts: list[Images]) -> None:
    told = Told()
    watch = ViewMonitor(baseline, ViewsConfig(), Alarms("s", told))
    for part in parts:
        watch.look({**part, "C1": np.roll(part["C1"], 60, axis=1)}, baseline, "A")
    assert list(told.standing) == ["camera_view.C1"]
    other = make_baseline(parts[:4])
    for look in range(120):
        assert list(told.standing) == ["camera_view.C1"], look
        watch.look({"C2": parts[look % 4]["C2"]}, other, "B")
    assert told.standing == {}
