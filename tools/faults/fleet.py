"""A fleet's roll-out: agents killed at any step, repositories that lie, a bad bundle in the first group.

The repository is served by nginx; every box is a whole box with its own verification and history. It is asked
if each box always has one whole bundle that it may run, if a bad bundle stays in the first group, and if the
reports tell the truth.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from edgeflow.clock import utc_now
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import UsageError
from edgeflow.fleet.rollout import Bounds, Group, Release
from edgeflow.fleet.statuses import collect
from edgeflow.mqtt.broker.login import Login, parse_url
from faults.figures import Figure
from faults.fleet_rig import PARTS, FleetBox, broker, write_parts
from simulators.fleet_repository import Publisher, nginx
from simulators.gige_cameras import NotPossibleError
from simulators.small_bundle import colour_mean

__all__ = ["fleet_rolled_out"]

FAULT = "fleet"
PORT = 18_883
_MANY = 20  # kills; fewer are within one release


def fleet_rolled_out(folder: Path, *, boxes: int, kills: int, prove: bool = False) -> list[Figure]:
    """Releases to two groups with agents killed until that is enough; then each lie, and a bad bundle.

    Args:
        prove: boxes prove each release in the shadow first; a process of idle priority, which on a busy
            machine may wait for minutes. Without it, releases are promoted unproven, with a reason.
    """
    if shutil.which("nginx", path="/usr/sbin:/usr/bin") is None:
        raise NotPossibleError("no nginx here")
    canaries = max(1, boxes // 4)
    groups = (Group(name="canary", boxes=canaries), Group(name="line", boxes=boxes - canaries))
    publisher = Publisher(root=folder / "office", groups=groups)
    served = folder / "served"
    served.symlink_to(publisher.path)
    parts = write_parts(folder / "parts")
    with ExitStack() as stack:
        stack.enter_context(broker(folder, PORT))
        url = stack.enter_context(nginx(served, folder / "nginx"))
        made = []
        for number in range(boxes):
            group = "canary" if number < canaries else "line"
            box = FleetBox(folder=folder / f"box{number}", group=group, publisher=publisher, permitted={1})
            box.write(f"s{number}", parts=parts, repository=url, port=PORT, shadow=prove)
            made.append(box)
        _start(made, stack)
        bounds = Bounds(parts=PARTS, prove_parts=PARTS if prove else 0)
        fleet = _Fleet(publisher, made, served, kills, bounds)
        fleet.keep_old()
        fleet.roll_out_until_killed_enough()
        fleet.lie()
        fleet.bad_bundle()
        fleet.revoke()
        for box in made:  # all at once, since each takes seconds
            box.end()
        return fleet.figures()


def _start(boxes: list[FleetBox], stack: ExitStack) -> None:
    """Start boxes side by side, since each needs seconds of a processor; then wait for all of them."""
    ready = [stack.enter_context(box.running()) for box in boxes]
    for wait in ready:
        wait()


class _Fleet:
    """The course of the fault, and its counts."""

    def __init__(
        self, publisher: Publisher, boxes: list[FleetBox], served: Path, kills: int, bounds: Bounds
    ) -> None:
        self._bounds = bounds
        self._publisher, self._boxes, self._served = publisher, boxes, served
        self._wanted_kills = kills
        self._version = 1
        self._random = random.Random(7)  # noqa: S311 - times of kills
        self._not_good = self._wrong_status = self._early = self._accepted_lies = self._untold_lies = 0
        self._spread = self._not_left = self._releases = self._lies = 0
        self._old = publisher.path

    def roll_out_until_killed_enough(self) -> None:
        while self._releases == 0 or sum(box.kills for box in self._boxes) < self._wanted_kills:
            release = self._publish(self._version + 1)
            for group in ("canary", "line"):
                if group == "line":
                    self._promote(release, group)
                members = [box for box in self._boxes if box.group == group]
                for box in members:
                    box.permitted = {self._version - 1, self._version}
                if group == "canary":
                    self._early += self._promotes(release)
                for box in members:
                    self._kill_and_finish(box)
                self._check(members, release)
            self._releases += 1

    def keep_old(self) -> None:
        """Keep the repository as it is before all releases, for the lie of later."""
        self._old = self._publisher.copied("old")

    def lie(self) -> None:
        """Each box looks at repositories that lie; it keeps what it has, and says why."""
        publisher, boxes, old = self._publisher, self._boxes, self._old
        self._publisher.at().rotate("timestamp", publisher.keys)
        for box in boxes:
            box.look()
        frozen = publisher.copied("frozen")
        _expire(publisher, frozen)
        half = publisher.copied("half")
        max((half / "metadata").glob("*.targets.json"), key=lambda f: int(f.name.partition(".")[0])).unlink()
        max((half / "metadata").glob("*.snapshot.json"), key=lambda f: f.stat().st_mtime_ns).write_bytes(b"{")
        mixed = publisher.copied("mixed")
        shutil.copy(old / "metadata" / "timestamp.json", mixed / "metadata" / "timestamp.json")
        for name, lying in {"old": old, "frozen": frozen, "half": half, "mixed": mixed}.items():
            with self._serving(lying):
                for box in boxes:
                    before = box.version
                    status = box.look()
                    self._lies += 1
                    self._untold_lies += status is None or not (status.problem or name == "half")
                    self._accepted_lies += box.version != before or not box.is_whole()
        for role in ("targets", "snapshot", "root"):
            publisher.at().rotate(role, publisher.keys)
        for box in boxes:
            status = box.look()
            self._untold_lies += status is None or bool(status.problem)  # keys that were replaced are no lie

    def bad_bundle(self) -> None:
        """A bundle that verifies and cannot score the line's parts: it is left, and reaches nobody else."""
        canaries = [box for box in self._boxes if box.group == "canary"]
        before = {id(box): box.version for box in self._boxes}
        unproven = self._bounds.model_copy(update={"prove_parts": 0})  # the proof would already refuse it
        model = _fails_on_black().SerializeToString()
        release = self._publish(self._version + 1, unproven, model=model)
        for box in canaries:
            box.permitted = {before[id(box)], self._version}
        for box in canaries:
            self._kill_and_finish(box, most=1 if self._wanted_kills < _MANY else self._wanted_kills)
        self._not_left += sum(box.version != before[id(box)] for box in canaries)
        self._wrong_status += sum(box.status.phase != "rolled_back" for box in canaries)
        self._early += self._promotes(release)
        for box in self._boxes:
            if box.group == "line":
                box.look()
                self._spread += box.version == self._version

    def revoke(self) -> None:
        """The release that all have is taken back: each box goes back to the one before."""
        good = [one for one in self._publisher.at().rollout().releases if "line" in one.groups][-1]
        self._publisher.at().revoke(good.id, self._publisher.keys)
        line = [box for box in self._boxes if box.group == "line"]
        for box in line:
            box.permitted = {good.version - 1, good.version}
        for box in line:
            box.agent(after_s=None)
        self._not_left += sum(box.version == good.version for box in line)

    def figures(self) -> list[Figure]:
        boxes = self._boxes
        counts: dict[str, float] = {
            "boxes without a whole and permitted bundle": sum(box.broken for box in boxes),
            "boxes that did not end with the release": self._not_good,
            "reports that were wrong": self._wrong_status,
            "promotions before success, or after failure": self._early,
            "lies that changed a bundle": self._accepted_lies,
            "lies that were not told": self._untold_lies,
            "boxes of the second group with the bad bundle": self._spread,
            "boxes that did not leave a bad or revoked bundle": self._not_left,
        }
        phases = set().union(*(box.killed_in for box in boxes))
        told = {
            "different phases killed": len(phases),
            "boxes": len(boxes),
            "releases": self._releases,
            "looks at lies": self._lies,
        }
        return [
            Figure(fault=FAULT, what="kills of agents", value=sum(box.kills for box in boxes),
                   limit=self._wanted_kills, at_least=True),
            *(Figure(fault=FAULT, what=what, value=value, limit=0) for what, value in counts.items()),
            *(Figure(fault=FAULT, what=what, value=value) for what, value in told.items()),
        ]  # fmt: skip

    def _publish(self, version: int, bounds: Bounds | None = None, **changes: Any) -> Release:
        self._version = version
        return self._publisher.publish(version, bounds or self._bounds, **changes)

    def _kill_and_finish(self, box: FleetBox, *, most: int | None = None) -> None:
        """Kill the agent after times that reach over the whole roll-out, then let it end."""
        releases = 1 if self._wanted_kills < _MANY else 3
        share = -(-self._wanted_kills // (releases * len(self._boxes)))
        share = share if most is None else min(share, most)
        for number in range(share):
            if not box.agent(after_s=self._random.uniform(0.02, 0.3 + 2.5 * number / share)):
                break
        box.agent(after_s=None)

    def _check(self, boxes: list[FleetBox], release: Release) -> None:
        self._not_good += sum(box.version != release.version for box in boxes)
        self._wrong_status += sum(
            (box.status.phase, box.status.release) != ("good", release.id) for box in boxes
        )
        reported = {one.box: one.phase for one in self._statuses()}
        self._wrong_status += sum(reported.get(box.config.device_name) != "good" for box in boxes)

    def _statuses(self) -> list[FleetStatus]:
        return collect(Login(url=parse_url(f"mqtt://127.0.0.1:{PORT}")), "edgeflow/v1/+/+/+/fleet")

    def _promotes(self, release: Release) -> bool:
        """True if a release was given to the second group, which it must not be."""
        with contextlib.suppress(UsageError):
            self._promote(release, "line")
            return True
        return False

    def _promote(self, release: Release, group: str) -> None:
        why = "" if self._bounds.prove_parts else "these boxes have no section 'shadow'"
        self._publisher.at().promote(
            release.id, group, self._statuses(), self._publisher.keys, although_unproven=why
        )

    @contextmanager
    def _serving(self, repository: Path) -> Iterator[None]:
        _point(self._served, repository)
        try:
            yield
        finally:
            _point(self._served, self._publisher.path)


def _point(link: Path, target: Path) -> None:
    new = link.with_name(".served")
    new.symlink_to(target)
    new.replace(link)


def _expire(publisher: Publisher, copy: Path) -> None:
    """Let the copy be one that was signed a month ago and never renewed."""
    from edgeflow.fleet.repository import FleetRepository  # noqa: PLC0415

    FleetRepository(path=copy, now=utc_now() - timedelta(days=30)).refresh(publisher.keys)


def _fails_on_black() -> onnx.ModelProto:
    """The same maps, but not a number where a pixel is black: golden parts have no such pixel."""
    model = colour_mean()
    graph = model.graph
    mean = next(node for node in graph.node if node.op_type == "ReduceMean")
    mean.output[0] = "means"
    graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5]))
    graph.initializer.append(helper.make_tensor("none", TensorProto.FLOAT, [1], [0.0]))
    graph.node.extend(
        [
            helper.make_node("Sub", ["means", "half"], ["shifted"]),
            helper.make_node("Sqrt", ["shifted"], ["roots"]),
            helper.make_node("Mul", ["roots", "none"], ["nothing"]),
            helper.make_node("Add", ["means", "nothing"], ["maps"]),
        ]
    )
    return model
