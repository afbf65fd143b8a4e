"""A decision in one short line, for controllers with short strings and without JSON."""

from __future__ import annotations

from edgeflow.contracts.messages import Decision

__all__ = ["compact_decision"]


def compact_decision(decision: Decision) -> bytes:
    """``verdict;reason code;seq;trigger id``, ASCII but for the trigger id, which comes last and whole.

    Without the trigger id it has 40 bytes at most, as long as ``seq`` has no more than 10 digits.
    """
    code = decision.reason_code or "fault"
    return f"{decision.verdict};{code};{decision.seq};{decision.trigger_id}".encode()
