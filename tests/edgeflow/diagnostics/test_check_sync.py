"""A box can tell parts apart, as far as its file shows."""

from __future__ import annotations

from typing import Any

import pytest

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.diagnostics.check_sync import sync_findings
from edgeflow.diagnostics.findings import Finding
from edgeflow.errors import ConfigError


def findings(trigger: dict[str, Any], sync: dict[str, Any] | None = None) -> list[Finding]:
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": trigger,
        "cameras": {"top": {"kind": "genicam", "serial": "1"}},
        "sync": {"max_skew_ms": 2, **(sync or {})},
        "decision": {"deadline_ms": 1000},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return list(sync_findings(parse_document(BoxConfig, document, what="box", error=ConfigError)))


def named(window_ms: float, period_ms: float | None, transfer_ms: float | None) -> list[tuple[str, str]]:
    trigger = {
        "source": "hardware", "part_ids": "mqtt", "part_id_window_ms": window_ms, "min_period_ms": period_ms,
    }  # fmt: skip
    return [(found.state, found.text) for found in findings(trigger, {"transfer_ms": transfer_ms})]


@pytest.mark.parametrize(
    ("window_ms", "period_ms", "transfer_ms", "state", "words"),
    [
        (200, 500, 299, "ok", "no part takes its neighbour's name"),
        (200, 500, 300, "warning", "cannot be named for sure"),
        (250, 500, 100, "ok", "no part takes"),
        (251, 500, 100, "warning", "lower the window below 250"),
        (80, None, 79, "ok", "at least 160 ms apart"),
        (80, None, 80, "warning", "cannot be named for sure"),
    ],
)
def test_windows_that_let_a_message_fit_two_parts_are_told(
    window_ms: float, period_ms: float | None, transfer_ms: float, state: str, words: str
) -> None:
    ((found, text),) = named(window_ms, period_ms, transfer_ms)
    assert found == state
    assert words in text


def test_a_line_says_that_its_cameras_need_a_latch() -> None:
    latch, window = named(80, None, None)
    assert "needs a time-stamp latch" in latch[1]
    assert "no part takes" in window[1]
    (alone,) = findings({"source": "hardware"})
    assert "give sync.transfer_ms" in alone.text


def test_software_triggers_say_how_long_images_may_take() -> None:
    (found,) = findings({"source": "interval", "period_ms": 100, "timeout_ms": 70})
    assert (found.state, "70 ms from trigger to arrival" in found.text) == ("ok", True)
