"""The MQTT topics of one inspection station."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Topics"]


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Topic names under one root, such as ``edgeflow/v1/plant1/l3/s2``."""

    root: str

    @property
    def availability(self) -> str:
        """Retained: online or offline."""
        return f"{self.root}/availability"

    @property
    def birth(self) -> str:
        """Retained: description of the running box."""
        return f"{self.root}/birth"

    @property
    def state(self) -> str:
        """Retained: state of the line."""
        return f"{self.root}/state"

    @property
    def decision(self) -> str:
        """Decisions, in time for the gate."""
        return f"{self.root}/decision"

    @property
    def compact_decision(self) -> str:
        """Decisions as one short line."""
        return f"{self.root}/decision/compact"

    @property
    def result(self) -> str:
        """Results, delivered until they are acknowledged."""
        return f"{self.root}/result"

    @property
    def result_ack(self) -> str:
        """The consumer's acknowledgements of results."""
        return f"{self.root}/result/ack"

    @property
    def dropped(self) -> str:
        """Notices of results that were dropped."""
        return f"{self.root}/dropped"

    @property
    def trigger(self) -> str:
        """Triggers and names of parts."""
        return f"{self.root}/trigger"

    def camera_status(self, view: str) -> str:
        """Retained: status of one camera."""
        return f"{self.root}/camera/{view}/status"

    def alarm(self, code: str) -> str:
        """Retained: one alarm."""
        return f"{self.root}/alarm/{code}"

    @property
    def metrics(self) -> str:
        """Figures of the running box, about every minute."""
        return f"{self.root}/metrics"

    @property
    def fleet(self) -> str:
        """Retained: the bundle that the box's fleet wants, and how far it is."""
        return f"{self.root}/fleet"

    @property
    def commands(self) -> str:
        """Filter of all commands."""
        return f"{self.root}/cmd/+"

    @property
    def replies(self) -> str:
        """Common parent of the topics of all replies to commands."""
        return f"{self.root}/rsp"

    def reply(self, verb: str) -> str:
        """Replies to one verb."""
        return f"{self.replies}/{verb}"
