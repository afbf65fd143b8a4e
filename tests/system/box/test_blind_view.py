"""A box with a view that shows nothing: every part is undecided, the view named, and the line told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from simulators.small_box import ROOT, start_box, write_box
from simulators.small_bundle import SIDE

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

PARTS = 4


def test_a_box_whose_view_is_black_acquits_no_part_and_says_why(
    tmp_path: Path, broker: Broker, client: Callable[[str], Client]
) -> None:
    path = write_box(tmp_path, broker.port)
    for number in range(PARTS):
        black = Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8))
        black.save(tmp_path / "parts" / f"part{number}" / "left.png")
    heard = client(f"{ROOT}/#")
    with (tmp_path / "out").open("w") as out, start_box(path, out=out) as process:
        heard.wait(lambda: len(heard.payloads("/decision")) >= PARTS or process.poll() is not None)
        process.terminate()
        process.wait(120)
    decisions = [json.loads(payload) for payload in heard.payloads("/decision")]
    assert {decision["verdict"] for decision in decisions} == {"UNDECIDED"}
    assert {decision["reason_code"] for decision in decisions} == {"view_blind"}
    assert all("view 'left' is black" in decision["reason"] for decision in decisions)
    (alarm,) = filter(None, heard.payloads("/alarm/camera_blind.left"))
    assert "view 'left' is black; check its light" in json.loads(alarm)["text"]
    assert heard.payloads("/alarm/camera_swapped") == []
    assert heard.payloads("/alarm/camera_blind.top") == []
