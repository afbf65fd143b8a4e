"""After a failure the writer waits, writes less on a full disk, and repairs a damaged file first."""

from __future__ import annotations

import sqlite3

from edgeflow.delivery.store.records import Limits
from edgeflow.delivery.store.write_retry import WriteRetry

LIMITS = Limits(rows=10, bytes=5_000_000)
FULL = sqlite3.OperationalError("database or disk is full")
DAMAGE = sqlite3.DatabaseError("database disk image is malformed")


def test_it_is_due_at_once_where_nothing_failed() -> None:
    retry = WriteRetry()
    assert retry.is_due(0.0)
    assert retry.wait_s(0.0) == 0.01
    assert retry.limits(LIMITS) == LIMITS
    assert not retry.is_squeezed
    assert retry.damage is None


def test_an_error_is_tried_again_after_half_a_second() -> None:
    retry = WriteRetry()
    retry.failed(OSError("gone"), 10.0, failed_before=False)
    assert not retry.is_due(10.49)
    assert retry.wait_s(10.25) == 0.25
    assert retry.is_due(10.5)
    assert retry.damage is None


def test_a_full_disk_allows_a_megabyte_less_each_time() -> None:
    retry = WriteRetry()
    retry.squeeze(3_500_000)
    assert retry.is_squeezed
    assert retry.limits(LIMITS) == Limits(rows=10, bytes=2_500_000, disk_full=True)
    retry.squeeze(9_000_000)
    assert retry.limits(LIMITS).bytes == 1_500_000
    retry.squeeze(9_000_000)
    assert retry.limits(LIMITS).bytes == 500_000
    retry.squeeze(9_000_000)
    assert retry.limits(LIMITS).bytes == 500_000


def test_the_configured_bytes_hold_where_they_are_less() -> None:
    retry = WriteRetry()
    retry.squeeze(50_000_000)
    assert retry.limits(LIMITS) == Limits(rows=10, bytes=5_000_000, disk_full=True)


def test_what_has_room_in_the_reserve_is_not_dropped() -> None:
    retry = WriteRetry()
    retry.squeeze(1_000_000)
    assert not retry.is_squeezed
    retry.squeeze(1_000_001)
    assert retry.limits(LIMITS).bytes == 1


def test_a_full_disk_is_tried_again_at_once_and_later_after_a_pause() -> None:
    retry = WriteRetry()
    retry.squeeze(3_000_000)
    retry.failed(FULL, 10.0, failed_before=False)
    assert retry.is_due(10.0)
    assert not retry.is_due(9.99)
    retry.failed(FULL, 10.0, failed_before=True)
    assert not retry.is_due(10.49)
    assert retry.is_due(10.5)


def test_a_disk_with_room_again_has_its_limits_again() -> None:
    retry = WriteRetry()
    retry.squeeze(3_000_000)
    retry.release()
    assert not retry.is_squeezed
    assert retry.limits(LIMITS) == LIMITS


def test_a_damaged_file_is_repaired_at_most_every_five_seconds() -> None:
    retry = WriteRetry()
    retry.failed(DAMAGE, 10.0, failed_before=False)
    assert retry.damage is DAMAGE
    assert not retry.is_due(14.99)
    assert retry.is_due(15.0)
    retry.failed(OSError("no room for the repair"), 15.0, failed_before=True)
    assert retry.damage is DAMAGE
    assert not retry.is_due(19.99)
    assert retry.is_due(20.0)
