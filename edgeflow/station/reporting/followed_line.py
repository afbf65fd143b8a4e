"""The line's gate and live stream, joined with the stream of decisions for programs beside the box."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edgeflow.contracts.messages import Decision
from edgeflow.live import DecisionStream, LivePart, LiveStream
from edgeflow.mqtt.link import MqttLink
from edgeflow.right_of_way import RightOfWay
from edgeflow.station.state import StationState

__all__ = ["FollowedGate", "FollowedStream", "open_streams"]


@dataclass(frozen=True, kw_only=True)
class FollowedGate:
    """Publishes a decision over MQTT, then hands it to those who follow."""

    link: MqttLink
    decisions: DecisionStream

    def publish_decision(self, decision: Decision) -> bool:
        """Publish a decision; return False where MQTT reached nobody."""
        told = self.link.publish_decision(decision)
        self.decisions.decided(decision)
        return told


@dataclass(frozen=True, kw_only=True)
class FollowedStream:
    """Hands a finished part to those who follow, then to those who watch."""

    live: LiveStream
    decisions: DecisionStream

    @property
    def watched(self) -> bool:
        """True if somebody watches, so that images are wanted."""
        return self.live.watched

    def offer(self, part: LivePart) -> None:
        """Take one part; arrays are not copied."""
        if part.result is not None:
            self.decisions.finished(part.result)
        self.live.offer(part)


def open_streams(
    status: Callable[[], Mapping[str, Any]], state: StationState, right_of_way: RightOfWay, stack: ExitStack
) -> FollowedStream:
    """Open the streams of a box; the stack ends them."""
    live = stack.enter_context(LiveStream(status, right_of_way=right_of_way))
    decisions = DecisionStream(state.message)
    stack.callback(decisions.close)
    return FollowedStream(live=live, decisions=decisions)
