"""Records in journald's own protocol, read at the other end of a real datagram socket."""

from __future__ import annotations

import array
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.errors import UsageError
from edgeflow.log_output.journal import JournalHandler


class Journal:
    """The other end: understands what ``systemd.journal-fields(7)`` describes."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)

    def receive(self) -> dict[str, str]:
        data, ancillary, _, _ = self._socket.recvmsg(1 << 20, 1024)
        for _, _, files in ancillary:  # too large for a datagram: a sealed file in memory instead
            (number,) = array.array("i", files)
            with os.fdopen(number, "rb") as file:
                file.seek(0)
                data = file.read()
        return parsed(data)

    def close(self) -> None:
        self._socket.close()


def parsed(data: bytes) -> dict[str, str]:
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:  # a binary value: its length, then itself
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    made = Journal(path)
    yield made
    made.close()


@pytest.fixture
def logger(path: Path, journal: Journal) -> Iterator[logging.Logger]:
    handler = JournalHandler(path)
    made = logging.getLogger("edgeflow.test_journal")
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)
    handler.close()


def test_a_record_comes_with_text_priority_and_its_own_fields(
    logger: logging.Logger, journal: Journal
) -> None:
    logger.error("camera 'top'\nis offline", extra={"event": "camera_failed", "camera": "top"})
    fields = journal.receive()
    assert fields["MESSAGE"] == "camera 'top'\nis offline"
    assert fields["PRIORITY"] == "3"
    assert fields["SYSLOG_IDENTIFIER"] == "edgeflow"
    assert fields["EDGEFLOW_EVENT"] == "camera_failed"
    assert fields["EDGEFLOW_CAMERA"] == "top"
    assert fields["CODE_FUNC"].startswith("test_a_record")
    logger.warning("x")
    assert journal.receive()["PRIORITY"] == "4"


def test_text_that_could_pass_for_a_field_does_not(logger: logging.Logger, journal: Journal) -> None:
    logger.warning("P1\nPRIORITY=0\n", extra={"part_id": "P1\n_UID=0"})
    fields = journal.receive()
    assert fields["PRIORITY"] == "4"
    assert fields["EDGEFLOW_PART_ID"] == "P1\n_UID=0"
    assert "_UID" not in fields


def test_a_record_larger_than_a_datagram_arrives_whole(logger: logging.Logger, journal: Journal) -> None:
    logger.warning("x" * 5_000_000)
    assert len(journal.receive()["MESSAGE"]) == 5_000_000


def test_a_journal_that_takes_nothing_costs_records_and_no_time(
    logger: logging.Logger, journal: Journal
) -> None:
    for number in range(5000):
        logger.warning("%d", number)
    seen = 0
    while True:
        fields = journal.receive()
        seen += 1
        if fields["MESSAGE"] == "again":
            break
        if seen == 3:  # there is room again
            logger.warning("again")
    assert int(fields["EDGEFLOW_LOST"]) == 5000 - (seen - 1)


def test_a_journal_that_is_restarted_is_written_to_again(
    logger: logging.Logger, journal: Journal, path: Path
) -> None:
    journal.close()
    path.unlink()
    logger.warning("lost")
    again = Journal(path)
    logger.warning("kept")
    fields = again.receive()
    assert (fields["MESSAGE"], fields["EDGEFLOW_LOST"]) == ("kept", "1")
    again.close()


def test_without_journald_the_box_file_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no journald here; use log"):
        JournalHandler(tmp_path / "none")
