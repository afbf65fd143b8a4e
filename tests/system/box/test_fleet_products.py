"""A box with two products whose fleet brings the bundle of one: the parts of the other never notice."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

from edgeflow.bundles.bundle import Bundle
from edgeflow.commands.control_socket import ask
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.fleet.follow import Follower
from edgeflow.fleet.rollout import Bounds, Group
from simulators.fleet_repository import Publisher
from simulators.product_box import OFFSET, good_verdict, write_product_box
from simulators.small_box import start_box
from simulators.small_bundle import VIEWS
from tests.support.waiting import PATIENCE_S, wait_until

NO_BROKER = 9
SCALE = {"centre": 0.0, "threshold": 1000.0}
THRESHOLDS = {
    "part": SCALE, "views": dict.fromkeys(VIEWS, SCALE), "false_reject_rate": 0.01, "normal_parts": 99
}  # fmt: skip


def sha256_of(path: Path) -> str:
    with Bundle.open(path) as bundle:
        return bundle.sha256


def results_in(log: Path) -> list[dict[str, Any]]:
    """Results that a box has printed; its latest line may not be whole yet."""
    lines = log.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines if '"result_id"' in line]


def parts_of(product: str, log: Path) -> int:
    return sum(one["product"] == product for one in results_in(log))


def follow_alternating(follower: Follower, log: Path, *phases: str) -> FleetStatus:
    """Look until the agent is in one of these phases, while parts of A and B take turns."""
    end_s = time.monotonic() + PATIENCE_S
    for product in itertools.cycle("AB"):
        answer = ask(follower.config.control_socket, "product", {"name": product})
        assert answer["exit_code"] == 0, answer
        wanted = parts_of(product, log) + 3
        wait_until(lambda product=product, wanted=wanted: parts_of(product, log) >= wanted)
        status = follower.look()
        assert not status.problem
        if status.phase in phases:
            return status
        assert time.monotonic() < end_s, status
    raise AssertionError


def test_the_bundle_of_one_product_is_published_anew_while_both_are_inspected(tmp_path: Path) -> None:
    publisher = Publisher(root=tmp_path / "office", groups=(Group(name="canary"),))
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "root.json").write_bytes(publisher.first_root.read_bytes())
    fleet = {
        "repository": str(publisher.path),
        "root": "root.json",
        "group": "canary",
        "product": "A",
        "every_s": 1,
    }
    box = write_product_box(tmp_path / "box", NO_BROKER, product="A", fleet=fleet)
    bundles = tmp_path / "box" / "bundles"
    first_a, first_b = sha256_of(bundles / "a.bundle"), sha256_of(bundles / "b.bundle")
    follower = Follower(path=box)
    log = tmp_path / "box.log"
    with log.open("w") as file:
        process = start_box(box, out=file)
    try:
        wait_until(lambda: results_in(log))
        # Every part of A turns to NG, all of them judged by the new bundle: the release pauses, B goes on.
        release = publisher.publish(3, Bounds(parts=4), thresholds=THRESHOLDS, offset=OFFSET)
        status = follow_alternating(follower, log, "good", "paused")
        assert (status.phase, status.release) == ("paused", release.id)
        assert sha256_of(bundles / "a.bundle") == release.sha256
        assert sha256_of(bundles / "b.bundle") == first_b
        publisher.at().revoke(release.id, publisher.keys)
        follow_alternating(follower, log, "rolled_back", "idle")
        assert sha256_of(bundles / "a.bundle") == first_a
    finally:
        process.terminate()
        process.wait(timeout=60)
    results = results_in(log)
    seen = {(one["bundle"]["sha256"], one["product"]) for one in results}
    assert seen == {(first_a, "A"), (release.sha256, "A"), (first_b, "B")}
    wrong = [
        one
        for one in results
        if one["verdict"] not in ("UNDECIDED", good_verdict(one["product"]))
        and one["bundle"]["sha256"] != release.sha256
    ]
    assert wrong == []
