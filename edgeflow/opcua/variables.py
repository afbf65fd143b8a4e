"""Plain variables for simple clients: the latest decision, the state, counts and a heartbeat."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any

from asyncua import Node, ua

from edgeflow.opcua.address_space import AddressSpace

__all__ = ["VERDICT_NUMBERS", "Inspection"]

VERDICT_NUMBERS = {"OK": 1, "NG": 2, "UNDECIDED": 3}
"""Verdicts as numbers; 0 stands for none yet, or for a box that does not answer."""

_KINDS = {
    "Verdict": ua.VariantType.String,
    "VerdictNumber": ua.VariantType.UInt16,
    "Reason": ua.VariantType.String,
    "ReasonCode": ua.VariantType.String,
    "PartId": ua.VariantType.String,
    "TriggerId": ua.VariantType.String,
    "ResultId": ua.VariantType.String,
    "Sequence": ua.VariantType.UInt32,
    "ValidUntil": ua.VariantType.DateTime,
    "Product": ua.VariantType.String,
    "Score": ua.VariantType.Double,
    "Bundle": ua.VariantType.String,
    "State": ua.VariantType.String,
    "Detail": ua.VariantType.String,
    "Ready": ua.VariantType.Boolean,
    "Session": ua.VariantType.String,
    "Connected": ua.VariantType.Boolean,
    "Heartbeat": ua.VariantType.UInt32,
    "CountOk": ua.VariantType.UInt32,
    "CountNg": ua.VariantType.UInt32,
    "CountUndecided": ua.VariantType.UInt32,
}
_EMPTY: Mapping[ua.VariantType, Any] = {
    ua.VariantType.String: "",
    ua.VariantType.Double: float("nan"),
    ua.VariantType.Boolean: False,
    ua.VariantType.DateTime: dt.datetime(1601, 1, 1, tzinfo=dt.UTC),
}
_COUNTS = {"OK": "CountOk", "NG": "CountNg", "UNDECIDED": "CountUndecided"}
_OF_DECISIONS = (
    "Verdict",
    "Reason",
    "ReasonCode",
    "PartId",
    "TriggerId",
    "ResultId",
    "Sequence",
    "ValidUntil",
)


class Inspection:
    """The object ``Inspection`` with its variables; for the server's event loop."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._nodes: dict[str, Node] = {}
        self._counts: Counter[str] = Counter()
        self._session = ""
        self._beats = 0

    async def make(self) -> Node:
        """Make the object below Objects; return it."""
        space = self._space
        folder = await space.server.nodes.objects.add_object(
            ua.NodeId("Inspection", space.own), ua.QualifiedName("Inspection", space.own)
        )
        for name, kind in _KINDS.items():
            self._nodes[name] = await folder.add_variable(
                ua.NodeId(f"Inspection.{name}", space.own),
                ua.QualifiedName(name, space.own),
                _EMPTY.get(kind, 0),
                varianttype=kind,
            )
        await self.lost("")
        return folder

    async def decided(self, decision: Mapping[str, Any]) -> None:
        """Show a decision; the verdict last, so that whoever waits for it finds all the others."""
        verdict = str(decision["verdict"])
        self._begin(str(decision["session"]))
        self._counts[verdict] += 1
        values = {
            "PartId": decision["part_id"],
            "TriggerId": decision["trigger_id"],
            "ResultId": decision["result_id"],
            "Reason": decision["reason"],
            "ReasonCode": decision["reason_code"] or "",
            "Product": decision.get("product") or "",
            "ValidUntil": dt.datetime.fromisoformat(decision["valid_until"]),
            _COUNTS[verdict]: self._counts[verdict],
            "VerdictNumber": VERDICT_NUMBERS[verdict],
            "Verdict": verdict,
            "Sequence": int(decision["seq"]) % 2**32,
        }
        await self._write(values)

    async def finished(self, result: Mapping[str, Any]) -> None:
        """Show the score of a result."""
        score = result.get("score")
        await self._write({"Score": float("nan") if score is None else float(score)})

    async def state(self, state: Mapping[str, Any]) -> None:
        """Show the box's state, and that it lives."""
        self._begin(str(state["session"]))
        self._beats = (self._beats + 1) % 2**32
        values = {
            "State": state["state"],
            "Detail": state["detail"],
            "Ready": bool(state["ready"]),
            "Bundle": state["recipe"],
            "Product": state.get("product") or "",
            "Session": state["session"],
            "Connected": True,
            "Heartbeat": self._beats,
        }
        if self._counts.total():  # a part may be of another product than the chosen one
            del values["Product"]
        await self._write(values)

    async def lost(self, problem: str) -> None:
        """Show that the box does not answer: no verdict, no state, not ready."""
        for name in (*_OF_DECISIONS, "State", "Score"):
            await self._space.write_bad(self._nodes[name], ua.StatusCodes.BadNoCommunication)
        await self._write({"VerdictNumber": 0, "Ready": False, "Connected": False, "Detail": problem})

    def _begin(self, session: str) -> None:
        """Count anew where the box was started again."""
        if session != self._session:
            self._session = session
            self._counts.clear()

    async def _write(self, values: Mapping[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC)
        for name, value in values.items():
            await self._space.write(self._nodes[name], value, _KINDS[name], now)
