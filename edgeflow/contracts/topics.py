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
        return f"{self.root}/availability"

    @property
    def birth(self) -> str:
        return f"{self.root}/birth"

    @property
    def state(self) -> str:
        return f"{self.root}/state"

    @property
    def decision(self) -> str:
        return f"{self.root}/decision"

    @property
    def compact_decision(self) -> str:
        return f"{self.root}/decision/compact"

    @property
    def result(self) -> str:
        return f"{self.root}/result"

    @property
    def result_ack(self) -> str:
        return f"{self.root}/result/ack"

    @property
    def dropped(self) -> str:
        return f"{self.root}/dropped"

    @property
    def trigger(self) -> str:
        return f"{self.root}/trigger"

    def camera_status(self, view: str) -> str:
        return f"{self.root}/camera/{view}/status"

    def alarm(self, code: str) -> str:
        return f"{self.root}/alarm/{code}"

    @property
    def commands(self) -> str:
        """Filter of all commands."""
        return f"{self.root}/cmd/+"

    @property
    def replies(self) -> str:
        """What all replies to commands are below."""
        return f"{self.root}/rsp"

    def reply(self, verb: str) -> str:
        return f"{self.replies}/{verb}"
