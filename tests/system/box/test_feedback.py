"""Ten demo rejects relabelled OK, recalibrated, replayed: the change shown beforehand is what happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo_history import DEMO, demo_box, edgeflow, inspected, labelled, replayed


@pytest.mark.long
def test_the_change_shown_before_is_what_happens(tmp_path: Path) -> None:
    box = demo_box(tmp_path)
    before = replayed(box)
    assert len(before) == 48
    inspected(box, before)
    rejects = labelled(box, before)
    edgeflow("evidence", "export", box, "--labelled", "-o", tmp_path / "reviewed")
    bundle, page, new = DEMO / "housing.bundle", tmp_path / "change.html", tmp_path / "next.bundle"
    shown: dict[str, Any] = json.loads(
        edgeflow("calibrate", bundle, box, "--rate", 0.03, "--html", page, "--json")
    )["preview"]
    again = json.loads(
        edgeflow("calibrate", bundle, tmp_path / "reviewed", "--rate", 0.03, "-o", new, "--accept", "--json")
    )
    assert again["preview"]["thresholds"] == shown["thresholds"], "box and export say the same"
    after = replayed(box, "--set", f"bundle={new}")
    turned = {name: (r.verdict, after[name].verdict) for name, r in before.items()}
    happened = {name: pair for name, pair in turned.items() if pair[0] != pair[1]}
    assert {found["part_id"]: (found["verdict"], found["would_be"]) for found in shown["turned"]} == happened
    assert len(happened) >= 8, "nearly all of the ten pass now"
    assert shown["moved"] > 1.5
    assert shown["labelled_ng"] == 4
    passing = sum(after[r.part_id].verdict == "OK" for r in rejects[10:14])
    assert len(shown["labelled_ng_passing"]) == passing
    text = page.read_text()
    assert text.count("<section>") == len(happened)
    assert text.count("data:image/jpeg;base64,") == 5 * len(happened)
