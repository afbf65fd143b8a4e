"""A crop is proposed round the part, and none where the picture does not tell where that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.capture.framing.crop_proposal import MARGIN, propose_crop
from edgeflow.contracts.images import RgbImage

HEIGHT, WIDTH = 480, 640


def scene(part: tuple[int, int, int, int] | None, *, background: int = 60, level: int = 150) -> RgbImage:
    """Noise on an even background, and a part as a rectangle (x, y, width, height)."""
    image = np.random.default_rng(5).normal(background, 3, (HEIGHT, WIDTH, 3))
    if part is not None:
        x, y, width, height = part
        image[y : y + height, x : x + width] += level - background
    return image.clip(0, 255).astype(np.uint8)


@settings(max_examples=6)
@given(st.integers(40, 300), st.integers(40, 200), st.integers(60, 250), st.integers(60, 200))
def test_the_crop_holds_the_part_with_its_margin(x: int, y: int, width: int, height: int) -> None:
    for image in (scene((x, y, width, height)), 255 - scene((x, y, width, height))):
        found = propose_crop(image)
        assert found.crop is not None
        left, top, across, down = found.crop
        assert left <= x
        assert top <= y
        assert left + across >= x + width
        assert top + down >= y + height
        space = 2 * (MARGIN * max(width, height) + 4)
        assert across <= width + space
        assert down <= height + space


def test_dust_does_not_widen_the_crop() -> None:
    image = scene((200, 150, 200, 160))
    image[20:24, 30:34] = 255
    found = propose_crop(image)
    assert found.crop is not None
    assert found.crop[0] > 150


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (scene(None), "nothing differs from the background"),
        (scene((5, 5, 630, 470)), "differs from the image's border|fills the image"),
        (scene((40, 30, 560, 420)), "the part fills the image"),
    ],
)
def test_there_is_no_crop_where_it_would_be_a_guess(image: RgbImage, reason: str) -> None:
    found = propose_crop(image)
    assert found.crop is None
    assert any(words in found.reason for words in reason.split("|"))
