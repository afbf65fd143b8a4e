"""Box files of a fleet: agents killed in every phase, wrong files, and files with which no box comes back.

Every box is a whole one under a supervisor that starts it again, as systemd does. It is asked if each box
always has a whole, permitted box file, if it ends with the right one, and if the reports tell the truth.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from edgeflow.contracts.message_parts.fleet_status import BoxFilePhase
from faults.figures import Figure
from faults.fleet_rig import FleetBox, write_parts
from simulators.fleet_repository import Publisher

__all__ = ["box_files_changed"]

FAULT = "box_files"
PARTS, UNDECIDED, WAIT_S = 6, 2, 45
_NO_BROKER = 9

_FORTH = ("checking", "placing", "starting", "watching")
_BACK = ("rolling_back", "starting_back")
_LONGEST = {
    "checking": 2.0,
    "placing": 0.01,
    "starting": 2.0,
    "watching": 0.5,
    "rolling_back": 0.01,
    "starting_back": 2.0,
}

Change = Callable[[dict[str, Any]], None]


def box_files_changed(folder: Path, *, boxes: int, rounds: int, short: bool = False) -> list[Figure]:
    """Good files with agents killed in each phase; then one of each kind of wrong ones.

    Args:
        rounds: of killing in every phase of a good file, and of one that is left again.
        short: one kill in each of these, and without the kinds that take longest.
    """
    publisher = Publisher(root=folder / "office")
    parts = write_parts(folder / "parts")
    made = [
        FleetBox(folder=folder / f"box{number}", group="canary", publisher=publisher, permitted={1})
        for number in range(boxes)
    ]
    with ExitStack() as stack:
        ready = []
        for number, box in enumerate(made):
            box.write(f"s{number}", parts=parts, repository=str(publisher.path), port=_NO_BROKER)
            ready.append(stack.enter_context(box.running(supervised=True)))
        for wait in ready:
            wait()
        changes = _Changes(publisher, rounds, short=short)
        threads = [threading.Thread(target=changes.of, args=(box,)) for box in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return changes.figures(made)


class _Changes:
    """The course of the fault at each box, and its counts."""

    def __init__(self, publisher: Publisher, rounds: int, *, short: bool) -> None:
        self._publisher, self._rounds, self._short = publisher, rounds, short
        self._random = random.Random(11)  # noqa: S311 - times of kills
        self._lock = threading.Lock()
        self._files = self._wrong_end = self._wrong_report = self._wrong_run = self._wanted_kills = 0

    def of(self, box: FleetBox) -> None:
        for number in range(self._rounds):
            good, back = (_FORTH[1:2], _BACK[1:]) if self._short else (_FORTH, (*_FORTH, *_BACK))
            self._change(box, _longer_deadline(5001 + number), "good", good)
            self._change(box, _always_late, "rolled_back", back)
        self._change(box, _of_another_fleet, "refused")
        if not self._short:
            self._change(box, _camera_is_not_there, "refused")
            self._change(box, _device_is_not_there, "rolled_back", _BACK)

    def figures(self, boxes: list[FleetBox]) -> list[Figure]:
        counts: dict[str, float] = {
            "boxes without a whole and permitted box file": sum(box.broken for box in boxes),
            "changes that did not end as they had to": self._wrong_end,
            "boxes that ran another file than the one in its place": self._wrong_run,
            "reports that were wrong": self._wrong_report,
        }
        phases = set().union(*(box.killed_in for box in boxes))
        return [
            Figure(fault=FAULT, what="kills of agents", value=sum(box.kills for box in boxes),
                   limit=self._wanted_kills, at_least=True),
            *(Figure(fault=FAULT, what=what, value=value, limit=0) for what, value in counts.items()),
            Figure(fault=FAULT, what="different phases killed", value=len(phases)),
            Figure(fault=FAULT, what="changes", value=self._files),
        ]  # fmt: skip

    def _change(
        self, box: FleetBox, change: Change, end: BoxFilePhase, killed_in: tuple[str, ...] = ()
    ) -> None:
        """Publish one file for one box, kill its agent, let it end, and look at what became of the box."""
        before = box.file.read_bytes()
        document = yaml.safe_load(before)
        change(document)
        new = box.folder / "published.yaml"
        new.write_text(yaml.safe_dump(document))
        data = new.read_bytes()
        with self._lock:  # one change of the repository at a time
            self._files += 1
            self._wanted_kills += len(killed_in)
            bounds = {"parts": PARTS, "undecided": UNDECIDED, "wait_s": WAIT_S}
            (made,) = self._publisher.at().publish_boxes([new], bounds, self._publisher.keys)
        box.permitted_files = {hashlib.sha256(one).hexdigest() for one in (before, data)}
        for phase in killed_in:
            box.agent(after_s=self._random.uniform(0, _LONGEST[phase]), in_phase=f"box file {phase}")
        box.agent(after_s=None)
        status = box.status.box_file
        kept = data if end == "good" else before
        with self._lock:
            self._wrong_report += status is None or (status.id, status.phase) != (made.id, end)
            self._wrong_end += box.file.read_bytes() != kept
            self._wrong_run += box.runs_file() != hashlib.sha256(kept).hexdigest()


def _longer_deadline(deadline_ms: float) -> Change:
    return lambda document: document["decision"].update(deadline_ms=deadline_ms)


def _of_another_fleet(document: dict[str, Any]) -> None:
    document["fleet"]["group"] = "line"


def _camera_is_not_there(document: dict[str, Any]) -> None:
    for camera in document["cameras"].values():
        camera["parts"] = "nowhere"


def _always_late(document: dict[str, Any]) -> None:
    """Every part is UNDECIDED: no verdict is out in time."""
    document["decision"]["deadline_ms"] = 0.001


def _device_is_not_there(document: dict[str, Any]) -> None:
    """The box does not start: only opening the device tells."""
    document["runtime"]["device"] = "CUDA:7"
