"""A problem is logged once, and again when it changes or comes back."""

from __future__ import annotations

import logging

import pytest

from edgeflow.change_log import ChangeLog

logger = logging.getLogger("edgeflow.test")


def test_a_problem_is_logged_once_and_again_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    log = ChangeLog(logger, "disk: ")
    assert [log.report(text) for text in ("full", "full", "gone", "full")] == [True, False, True, True]
    assert caplog.messages == ["disk: full", "disk: gone", "disk: full"]
    assert log.problem == "full"


def test_a_problem_that_comes_back_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    log = ChangeLog(logger)
    assert not log.clear()
    log.report("full")
    assert log.clear()
    assert log.problem == ""
    assert not log.clear()
    assert log.report("full")
    assert caplog.messages == ["full", "full"]


def test_no_problem_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = ChangeLog(logger)
    assert not log.report("")
    log.report("full")
    assert log.report("")
    assert caplog.messages == ["full"]


def test_the_level_and_a_percent_sign_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    ChangeLog(logger, "at 10%: ", logging.ERROR).report("100% full")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "at 10%: 100% full")
    ]
