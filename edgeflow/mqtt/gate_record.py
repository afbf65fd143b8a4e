"""Record of the decisions that the broker accepted in time, for the field ``gate_told`` of results."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["GateRecord", "with_gate_told"]

_REMEMBERED = 4000  # decisions; a result leaves soon after its decision, or says that it is not known


class GateRecord:
    """One entry per decision: True once the broker has it, False where it has not, None while unknown.

    One thread notes decisions, another the broker's answers; no lock, since each touches one entry.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, bool | None] = OrderedDict()
        self.unsent = 0
        self.refused = 0

    def sent(self, result_id: str) -> None:
        """Record that a decision was sent; its answer is not known yet."""
        self._note(result_id, None)

    def not_sent(self, result_id: str) -> None:
        """Record that a decision was not sent; it is lost."""
        self.unsent += 1
        self._note(result_id, False)

    def answered(self, result_id: str, *, taken: bool) -> None:
        """Record the broker's answer."""
        self.refused += not taken
        self._told[result_id] = taken

    def told(self, result_id: str) -> bool | None:
        """Return True if the broker accepted the decision, None where that is not known."""
        return self._told.get(result_id)

    def _note(self, result_id: str, told: bool | None) -> None:
        self._told.setdefault(result_id, told)  # the broker may have answered already
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


_NOT_KNOWN = b',"gate_told":null,'  # in a text of the record, the quotation marks would have a backslash


def with_gate_told(payload: bytes, told: bool | None) -> bytes:
    """Return the payload with ``gate_told`` filled in where it is not known yet."""
    if told is None:
        return payload
    return payload.replace(_NOT_KNOWN, f',"gate_told":{str(told).lower()},'.encode(), 1)
