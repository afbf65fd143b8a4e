"""Registers of the Modbus server: the latest decision as numbers; pure, clocks are arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["REASON_NUMBERS", "STATE_NUMBERS", "VERDICT_NUMBERS", "Registers"]

MAP_VERSION = 1
VERDICT_NUMBERS = {"OK": 1, "NG": 2, "UNDECIDED": 3}
STATE_NUMBERS = {
    "PreOperational": 1,
    "Initialized": 2,
    "Ready": 3,
    "SingleExecution": 4,
    "ContinuousExecution": 5,
    "Error": 6,
    "Halted": 7,
}
_REASONS = (
    "ok", "degraded", "defect", "missing_views", "skew", "mixed_parts", "unnamed_part", "overrun", "stopped",
    "trigger_refused", "unknown_product", "view_frozen", "view_blind", "not_scored", "scoring_failed",
    "score_not_finite", "no_threshold", "no_foreground", "late", "fault",
)  # fmt: skip
REASON_NUMBERS: Mapping[str, int] = {name: number for number, name in enumerate(_REASONS, start=1)}
"""Numbers of reasons; new ones are added at the end, and one that is not known here is 999."""

_UNKNOWN_REASON = 999
_LAST_DIGITS = re.compile(r"(\d{1,18})\D*$")


class Registers:
    """The registers' values, from the box's stream; pure, the clock is an argument.

    Args:
        valid_s: returns how long a decision may be used, for a part's product.
        products: the box's products, in their order.
    """

    def __init__(self, valid_s: Callable[[str | None], float], products: tuple[str, ...] = ()) -> None:
        self._valid_s = valid_s
        self._products = products
        self._decision: Mapping[str, Any] | None = None
        self._decided_s = 0.0
        self._state: Mapping[str, Any] = {}
        self._counts: Counter[str] = Counter()
        self._session = ""
        self._beats = 0

    def take(self, item: Mapping[str, Any], now_s: float) -> None:
        """Take one item of the stream, see :func:`edgeflow.commands.follow.follow`."""
        kind = item["kind"]
        if kind == "lost":
            self._state, self._decision = {}, None
            return
        self._beats = (self._beats + 1) % 2**16
        if kind in ("hello", "state"):
            self._state = item["state"]
            self._begin(str(self._state["session"]))
        elif kind == "decision":
            # The box's moment, not this one: a decision that lay in a queue is no younger for that.
            self._decided_s = min(now_s, item.get("at_ns", now_s * 1e9) / 1e9)
            self._decision = item["decision"]
            self._begin(str(self._decision["session"]))
            self._counts[str(self._decision["verdict"])] += 1

    def words(self, now_s: float) -> list[int]:
        """Return the registers from address 0 on."""
        decision = self._decision or {}
        age_ms = round((now_s - self._decided_s) * 1000) if decision else 0xFFFF
        product = decision.get("product") or self._state.get("product")
        return [
            MAP_VERSION,
            int(self._accepts(now_s)),
            self._beats,
            int(bool(self._state)),
            int(bool(self._state.get("ready"))),
            STATE_NUMBERS.get(str(self._state.get("state")), 0),
            VERDICT_NUMBERS.get(str(decision.get("verdict")), 0),
            REASON_NUMBERS.get(str(decision.get("reason_code")), _UNKNOWN_REASON) if decision else 0,
            *_two_words(int(decision.get("seq", 0))),
            *_two_words(_part_number(str(decision.get("part_id", "")))),
            min(max(age_ms, 0), 0xFFFF),
            self._products.index(product) + 1 if product in self._products else 0,
            *(word for verdict in VERDICT_NUMBERS for word in _two_words(self._counts[verdict])),
        ]

    def _accepts(self, now_s: float) -> bool:
        """Return True while a good part may pass: the box runs, its latest decision is OK and valid."""
        decision = self._decision
        if decision is None or self._state.get("state") != "ContinuousExecution":
            return False
        return decision["verdict"] == "OK" and now_s - self._decided_s <= self._valid_s(
            decision.get("product")
        )

    def _begin(self, session: str) -> None:
        """Forget what belongs to an earlier run of the box."""
        if session != self._session:
            if self._decision is not None and self._decision["session"] != session:
                self._decision = None
            self._session = session
            self._counts.clear()


def _two_words(number: int) -> tuple[int, int]:
    """Return a 32-bit number as two registers, the high word first."""
    number %= 2**32
    return number >> 16, number & 0xFFFF


def _part_number(part_id: str) -> int:
    """Return the last digits of a part id as a number; 0 where it has none."""
    found = _LAST_DIGITS.search(part_id)
    return int(found[1]) if found else 0
