"""The roll-out document: releases, the groups that they have reached, and the bounds that stop them; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from edgeflow.config.updates.fleet import GroupName
from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import DataError, UsageError

__all__ = [
    "ROLLOUT",
    "Bounds",
    "Group",
    "Release",
    "Rollout",
    "least_compared",
    "parse_rollout",
    "promotion_problems",
    "wanted_release",
]

ROLLOUT = "rollout.json"
"""Name of the target."""

_PROVEN = 100  # parts, where the release itself asks for none before it is taken

Share = Annotated[float, Field(ge=0, le=1)]


class Bounds(Document):
    """Bounds on the first parts after a switch.

    Attributes:
        parts: that are watched.
        undecided_share: of them; more is a roll-back.
        failures: parts that the bundle could not score; so many are a roll-back.
        disagreement_share: of the parts that the bundle before judges too; more is a roll-back.
        ng_share: above the bundle before; more is a pause, since a bad batch is no bad bundle.
        prove_parts: parts that the bundle judges beside the running one before it is taken; 0: none.
    """

    parts: int = Field(default=200, ge=1, le=100_000)
    undecided_share: Share = 0.05
    failures: int = Field(default=3, ge=1)
    disagreement_share: Share = 0.1
    ng_share: Share = 0.2
    prove_parts: int = Field(default=0, ge=0, le=100_000)


class Group(Document):
    """A group of boxes, in the order of promotion.

    Attributes:
        boxes: least number of boxes that have to report success before the next group gets a release.
    """

    name: GroupName
    boxes: int = Field(default=1, ge=1)


class Release(Document):
    """One bundle on its way through the groups.

    Attributes:
        id: NAME-VERSION-HASH; also the name of its file at a box, which can so be no other file of it.
        target: path of the bundle in the repository.
        sha256: of the bundle, as boxes report it: of its manifest, not of its file.
        groups: that have it.
        unproven: why a group got it although no box had compared it in the shadow, as 'GROUP: REASON'.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}-[0-9]{1,12}-[0-9a-f]{8}$")]
    target: str
    name: str
    version: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    groups: tuple[str, ...]
    bounds: Bounds = Bounds()
    revoked: bool = False
    unproven: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    published_at: str


class Rollout(Document):
    """All releases, the latest last."""

    schema_: Literal["edgeflow/rollout/1"] = Field(default="edgeflow/rollout/1", alias="schema")
    groups: tuple[Group, ...]
    releases: tuple[Release, ...] = ()
    revoked: tuple[str, ...] = ()

    def release(self, name: str) -> Release:
        """Return a release by its id, or by its beginning where that is unique.

        Raises:
            UsageError: none, or several.
        """
        found = [one for one in self.releases if one.id == name] or [
            one for one in self.releases if one.id.startswith(name)
        ]
        if len(found) != 1:
            known = ", ".join(one.id for one in self.releases) or "none"
            raise UsageError(f"{name}: {len(found) or 'no'} such release; there are: {known}")
        return found[0]

    def group(self, name: str) -> Group:
        """Return a group.

        Raises:
            UsageError: no such group.
        """
        for one in self.groups:
            if one.name == name:
                return one
        raise UsageError(f"{name}: no such group; there are: {', '.join(one.name for one in self.groups)}")

    def before(self, name: str) -> tuple[Group, ...]:
        """Return the groups that a release has to pass before it reaches this one."""
        names = [one.name for one in self.groups]
        return self.groups[: names.index(self.group(name).name)]


def parse_rollout(data: bytes) -> Rollout:
    """Read a roll-out document.

    Raises:
        DataError: it is none, or of a later version.
    """
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{ROLLOUT}: is no JSON: {cause}; publish it anew") from cause
    # Keys of later versions are passed over, so that an office that is updated first holds up no box.
    return parse_document(Rollout, plain, what=ROLLOUT, error=DataError, unknown="ignore")


def wanted_release(rollout: Rollout, group: str) -> Release | None:
    """Return the latest release that a group is to run; None where there is none."""
    found = [one for one in rollout.releases if group in one.groups and not one.revoked]
    return found[-1] if found else None


def promotion_problems(
    rollout: Rollout,
    release: Release,
    to: str,
    statuses: Sequence[FleetStatus],
    *,
    although_paused: bool = False,
    although_unproven: bool = False,
) -> list[str]:
    """Return every reason not to give a release to a group.

    Args:
        statuses: as boxes reported them.
        although_unproven: a person takes it without a comparison in the shadow.
        although_paused: a person has looked at the NG parts, and takes boxes that paused for good ones.
    """
    problems = []
    if release.revoked:
        problems.append(f"{release.id} is revoked")
    about = [status for status in statuses if status.release == release.id]
    good_phases = {"good", "paused"} if although_paused else {"good"}
    problems += [
        f"{status.box} ({status.group}): {status.phase.replace('_', ' ')}: {status.reason}"
        for status in about
        if status.phase in {"rolling_back", "rolled_back", "refused", "paused"} - good_phases
    ]
    for group in rollout.before(to):
        if group.name not in release.groups:
            problems.append(f"group '{group.name}' comes before '{to}', and has not got it yet")
            continue
        good = {one.box for one in about if one.group == group.name and one.phase in good_phases}
        under_way = [one for one in about if one.group == group.name and one.phase not in good_phases]
        if len(good) < group.boxes:
            others = ", ".join(
                f"{one.box} {one.phase.replace('_', ' ')}"
                + (f" {one.parts} of {one.of_parts}" if one.of_parts else "")
                for one in under_way
            )
            problems.append(
                f"group '{group.name}': {len(good)} of {group.boxes} boxes have reported success"
                + (f" ({others})" if others else "")
            )
        elif not although_unproven:
            problems += _unproven(release, group.name, [one for one in about if one.box in good])
    return problems


def least_compared(bounds: Bounds) -> int:
    """Return the parts on which a box has to have compared a release, before it goes on to another group."""
    return bounds.prove_parts or min(_PROVEN, bounds.parts)


def _unproven(release: Release, group: str, good: Sequence[FleetStatus]) -> list[str]:
    """A reason where no box of a group has compared a release in the shadow on enough parts."""
    wanted = least_compared(release.bounds)
    most = max(good, key=lambda one: one.compared or 0)
    if (most.compared or 0) >= wanted:
        return []
    found = f"{most.box} on {most.compared}" if most.compared else "none on any"
    return [
        f"group '{group}': no box has compared it with another bundle on {wanted} parts in the shadow "
        f"({found}); give a box of the group a section 'shadow' and publish another version, or promote with "
        "--accept-unproven REASON, which is recorded"
    ]
