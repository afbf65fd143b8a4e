"""Promotion from group to group: refused until the groups before have reported success."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from edgeflow.contracts.message_parts.fleet_status import FleetPhase, FleetStatus
from edgeflow.errors import DataError, UsageError
from edgeflow.fleet.rollout import (
    Bounds,
    Group,
    Release,
    Rollout,
    least_compared,
    parse_rollout,
    promotion_problems,
    wanted_release,
)

AT = "2026-11-29T10:00:00.000Z"


def release(number: int, groups: tuple[str, ...] = ("canary",), *, revoked: bool = False) -> Release:
    return Release(
        id=f"bracket-{number}-{number:08x}",
        target="t",
        name="bracket",
        version=number,
        sha256=f"{number:064x}",
        groups=groups,
        revoked=revoked,
        published_at="2026-11-29T10:00:00+00:00",
    )


GROUPS = (Group(name="canary", boxes=2), Group(name="line3"), Group(name="line4"))


def status(
    box: str, phase: FleetPhase, about: Release, group: str = "canary", compared: int | None = 100
) -> FleetStatus:
    return FleetStatus(
        box=box, group=group, phase=phase, release=about.id, reason="because", at=AT, compared=compared
    )


def test_a_group_runs_its_latest_release_that_is_not_revoked() -> None:
    releases = (release(1, ("canary", "line3")), release(2), release(3, ("canary",), revoked=True))
    rollout = Rollout(groups=GROUPS, releases=releases)
    assert wanted_release(rollout, "canary") == releases[1]
    assert wanted_release(rollout, "line3") == releases[0]
    assert wanted_release(rollout, "line4") is None


def test_a_release_waits_for_the_success_of_enough_boxes() -> None:
    wanted = release(2)
    rollout = Rollout(groups=GROUPS, releases=(wanted,))
    assert "0 of 2 boxes" in promotion_problems(rollout, wanted, "line3", [])[0]
    one = [status("b1", "good", wanted), status("b2", "watching", wanted)]
    assert (
        "1 of 2 boxes have reported success (b2 watching"
        in promotion_problems(rollout, wanted, "line3", one)[0]
    )
    both = [status("b1", "good", wanted), status("b2", "good", wanted)]
    assert promotion_problems(rollout, wanted, "line3", both) == []
    assert "group 'line3' comes before" in promotion_problems(rollout, wanted, "line4", both)[0]
    of_another = [status("b1", "good", release(1)), status("b2", "good", release(1))]
    assert promotion_problems(rollout, wanted, "line3", of_another)


@pytest.mark.parametrize("compared", [(None, None), (0, 99)])
def test_a_release_that_nobody_compared_in_the_shadow_goes_no_further(
    compared: tuple[int | None, int | None],
) -> None:
    wanted = release(2)
    rollout = Rollout(groups=GROUPS, releases=(wanted,))
    statuses = [status(f"b{number}", "good", wanted, compared=parts) for number, parts in enumerate(compared)]
    (problem,) = promotion_problems(rollout, wanted, "line3", statuses)
    assert "no box has compared it with another bundle on 100 parts" in problem
    assert "--accept-unproven REASON" in problem
    assert promotion_problems(rollout, wanted, "line3", statuses, although_unproven=True) == []
    one_is_enough = [*statuses, status("b9", "good", wanted, compared=100)]
    assert promotion_problems(rollout, wanted, "line3", one_is_enough) == []


def test_the_parts_to_compare_are_those_that_the_release_asks_for() -> None:
    assert least_compared(Bounds(prove_parts=30)) == 30
    assert least_compared(Bounds(parts=20)) == 20
    assert least_compared(Bounds(parts=500)) == 100


def test_a_document_of_a_later_version_with_more_keys_is_read() -> None:
    plain = Rollout(groups=GROUPS, releases=(release(1),)).model_dump(mode="json", by_alias=True)
    plain["later"] = 1
    plain["releases"][0]["later"] = 2
    assert parse_rollout(json.dumps(plain).encode()).releases == (release(1),)


@pytest.mark.parametrize("phase", ["rolled_back", "rolling_back", "refused", "paused"])
def test_one_box_that_failed_stops_the_promotion_everywhere(phase: FleetPhase) -> None:
    wanted = release(2)
    rollout = Rollout(groups=GROUPS, releases=(wanted,))
    statuses = [status(box, "good", wanted) for box in ("b1", "b2")] + [status("b3", phase, wanted)]
    (problem,) = promotion_problems(rollout, wanted, "line3", statuses)
    assert "b3 (canary)" in problem
    assert "because" in problem
    allowed = promotion_problems(rollout, wanted, "line3", statuses, although_paused=True)
    assert (allowed == []) == (phase == "paused")


def test_a_release_is_found_by_its_beginning_and_unknown_ones_are_told() -> None:
    rollout = Rollout(groups=GROUPS, releases=(release(1), release(2)))
    assert rollout.release("bracket-2").version == 2
    with pytest.raises(UsageError, match="2 such release"):
        rollout.release("bracket")
    with pytest.raises(UsageError, match="no such release; there are: bracket-1"):
        rollout.release("housing")
    with pytest.raises(UsageError, match="no such group; there are: canary, line3, line4"):
        rollout.group("line9")


@pytest.mark.parametrize("name", ["current", "../x-1-00000000", "x/y-1-00000000", "a-1-0000000g", ""])
def test_the_name_of_a_release_names_no_other_file_of_a_box(name: str) -> None:
    good = release(1).model_dump(mode="json")
    with pytest.raises(ValidationError):
        Release.model_validate({**good, "id": name})


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema": "edgeflow/rollout/2", "groups": []}', b"[" * 9999])
def test_a_document_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"rollout\.json"):
        parse_rollout(data)
