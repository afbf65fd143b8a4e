"""One JSON object per record."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.log_output.fields import JsonFormatter


class Silent:
    """Takes alarms."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nothing."""


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged from now on, as plain data."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


def test_a_record_is_one_line_with_time_level_text_and_its_fields(lines: Any) -> None:
    logger = logging.getLogger("edgeflow.station.line")
    logger.warning("part %s\nis odd: ü", "P 1", extra={"event": "not_scored", "part_id": "P 1"})
    (line,) = lines()
    assert line["time"].endswith("Z")
    assert line["level"] == "warning"
    assert line["text"] == "part P 1\nis odd: ü"
    assert line["event"] == "not_scored"
    assert line["part_id"] == "P 1"
    assert line["logger"] == "edgeflow.station.line"
    assert "camera" not in line


def test_an_exception_comes_with_its_traceback_in_the_same_line(lines: Any) -> None:
    try:
        {}["missing"]
    except KeyError:
        logging.getLogger("edgeflow").exception("failed")
    (line,) = lines()
    assert line["level"] == "error"
    assert "KeyError: 'missing'" in line["traceback"]


def test_an_alarm_says_code_subject_and_the_camera_that_it_is_about(lines: Any) -> None:
    alarms = Alarms("s", Silent())
    alarms.raise_("camera_stale", "error", "camera 'top' is offline", subject="top")
    alarms.raise_("outbox", "warning", "full", subject="delivery")
    alarms.clear("camera_stale", subject="top")
    raised, outbox, over = lines()
    assert {name: raised[name] for name in ("event", "code", "camera", "severity")} == {
        "event": "alarm_raised",
        "code": "camera_stale",
        "camera": "top",
        "severity": "error",
    }
    assert (outbox["code"], outbox["subject"]) == ("outbox", "delivery")
    assert "camera" not in outbox
    assert (over["event"], over["camera"]) == ("alarm_over", "top")
