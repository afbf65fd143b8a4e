"""Video that is told as changes (H.264): every frame that is delivered is the one that was taken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
import pytest

from edgeflow.cameras.camera import EndOfStream
from edgeflow.cameras.streams.decoder import DamagedFrame, Video, rgb_of
from edgeflow.cameras.streams.key_frames import KeyFrameTracker
from edgeflow.cameras.streams.video_file import FileCamera
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import FileConfig
from tests.support.clips import KEY_EVERY, bar_at, packets_of, write_clip

COUNT = 40


def played(path: Path) -> list[int | None]:
    """The number that each frame shows, None for a lost one."""
    video = Video(str(path), name="clip", open_s=5, read_s=5, options={}, advice="none")
    shown: list[int | None] = []
    while True:
        try:
            frame = video.next()
        except DamagedFrame:
            shown.append(None)
            continue
        if frame is None:
            video.close()
            return shown
        shown.append(bar_at(rgb_of(frame, video.orientation)))


def test_a_camera_that_plays_a_clip_shows_every_frame_in_its_turn(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "part.mp4", frames=COUNT, rate=50)
    camera = FileCamera("top", FileConfig(kind="file", path=path))
    camera.open(monotonic_ns())
    seen = []
    with suppress(EndOfStream):
        while (frame := camera.read(5.0)) is not None:
            seen.append((frame.frame_id, bar_at(frame.image)))
    assert seen
    assert all(number == shown for number, shown in seen)
    assert played(path) == list(range(COUNT))


@pytest.mark.parametrize("victim", [3, 4, 5, 10, 13])
def test_after_damage_no_frame_is_shown_until_one_stands_for_itself(tmp_path: Path, victim: int) -> None:
    """Decoders go on with the picture that they have: sharp, and of an earlier moment."""
    path = write_clip(tmp_path / "part.mp4", frames=COUNT)
    data = bytearray(path.read_bytes())
    place, size = packets_of(path)[victim]
    data[place + size // 3 : place + size] = bytes(size - size // 3)
    path.write_bytes(data)
    shown = played(path)
    assert len(shown) == COUNT
    assert all(number in (None, turn) for turn, number in enumerate(shown))
    again = KEY_EVERY * (victim // KEY_EVERY + 1)
    assert shown[again:] == list(range(again, COUNT))
    assert None in shown


@pytest.mark.parametrize("between", [0, 2])
@pytest.mark.parametrize("victim", [4, 10])
def test_a_frame_that_never_came_is_not_made_up_from_the_one_before(
    tmp_path: Path, between: int, victim: int
) -> None:
    whole = write_clip(tmp_path / "whole.mp4", frames=COUNT, between=between)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "part.mp4"), "w") as target:
        track = source.streams.video[0]
        stream = target.add_stream_from_template(track)
        for number, packet in enumerate(p for p in source.demux(track) if p.size):
            if number != victim:
                packet.stream = stream
                target.mux(packet)
    shown = played(tmp_path / "part.mp4")
    again = KEY_EVERY * (victim // KEY_EVERY + 1)
    came = [number for number in shown if number is not None]
    assert came == sorted(set(came))
    assert came[-(COUNT - again) :] == list(range(again, COUNT))
    assert all(number < victim or number >= again for number in came)
    assert len(came) < COUNT - 1


def test_a_looping_clip_is_right_again_after_its_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "part.mp4", frames=COUNT, rate=1)
    camera = FileCamera("top", FileConfig(kind="file", path=path, loop=True))
    camera.open(monotonic_ns() - (COUNT + 5) * 10**9)
    frame = camera.read(5.0)
    assert frame is not None
    assert frame.frame_id >= COUNT + 5
    assert bar_at(frame.image) == frame.frame_id - COUNT


def test_a_frame_rate_that_changes_costs_trust_only_for_a_moment() -> None:
    followed = KeyFrameTracker(intra=False)
    stamps = [*range(0, 3000, 100), *range(3000, 9000, 200)]
    keys = range(0, len(stamps), 10)
    doubts = [bool(followed.doubt(key=n in keys, stamp=stamp)) for n, stamp in enumerate(stamps)]
    assert not any(doubts[:30])
    assert any(doubts[30:])
    assert not any(doubts[50:])
