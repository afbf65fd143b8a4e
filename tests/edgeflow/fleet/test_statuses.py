"""Statuses of boxes: one topic each; the broker's rights are tried in test_firmware_configs."""

from __future__ import annotations

import pytest

from edgeflow.contracts.message_parts.fleet_status import FleetPhase, FleetStatus
from edgeflow.errors import IntegrityError
from edgeflow.fleet.statuses import merged, require_one_topic


def status(box: str, *, phase: FleetPhase = "good", second: int = 0) -> FleetStatus:
    return FleetStatus(box=box, group="canary", phase=phase, at=f"2026-11-29T10:00:0{second}.000Z")


def test_a_station_cannot_report_in_the_name_of_another() -> None:
    honest = {"edgeflow/v1/p/l/s2/fleet": status("b2"), "edgeflow/v1/p/l/s3/fleet": status("b3")}
    require_one_topic(honest)
    forged = {**honest, "edgeflow/v1/p/l/s3/fleet": status("b2", phase="rolled_back")}
    with pytest.raises(IntegrityError) as refused:
        require_one_topic(forged)
    assert "b2: edgeflow/v1/p/l/s2/fleet, edgeflow/v1/p/l/s3/fleet" in str(refused.value)


def test_the_latest_status_of_a_box_counts_from_broker_and_stick() -> None:
    broker, stick = status("b2", second=1), status("b2", phase="paused", second=2)
    assert merged([broker], [stick]) == [stick]
    assert merged([stick], [broker]) == [stick]
