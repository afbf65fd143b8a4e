"""A client that is refused without end does not fill the log."""

from __future__ import annotations

import logging
import time

from edgeflow.opcua.clients.log_limit import LogLimit


def test_lines_beyond_the_limit_are_counted_and_told() -> None:
    limit = LogLimit()
    lines = [logging.LogRecord("x", logging.WARNING, "f", 1, "client %r", ("a",), None) for _ in range(500)]
    began_s = time.monotonic()
    passed = [line for line in lines if limit.filter(line)]
    took_s = time.monotonic() - began_s
    assert 20 <= len(passed) <= 21 + took_s
    while not limit.filter(last := logging.LogRecord("x", logging.WARNING, "f", 1, "last", (), None)):
        time.sleep(0.05)
    assert "lines before it that were not logged" in last.getMessage()
