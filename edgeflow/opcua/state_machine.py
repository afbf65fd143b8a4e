"""State machine of the vision system: it follows the box's state, which has the names of OPC 40100-1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from edgeflow.opcua.address_space import AddressSpace

__all__ = ["StateMachine", "VisionState", "vision_state"]

_SYSTEM = {"Preoperational": 5028, "Halted": 5029, "Error": 5030, "Operational": 5031}
_AUTOMATIC = {"Initialized": 5056, "Ready": 5057, "SingleExecution": 5058, "ContinuousExecution": 5059}


@dataclass(frozen=True, kw_only=True)
class VisionState:
    """State of both machines of OPC 40100-1.

    Attributes:
        system: of the vision state machine.
        automatic: of the automatic mode below it; None unless the system is Operational.
    """

    system: str
    automatic: str | None = None


def vision_state(name: str | None) -> VisionState:
    """Return both states for a state of the box; None stands for a box that does not answer."""
    if name in _AUTOMATIC:
        return VisionState(system="Operational", automatic=name)
    if name == "PreOperational":
        return VisionState(system="Preoperational")
    return VisionState(system="Halted" if name == "Halted" else "Error")


class StateMachine:
    """Writes the states to their nodes; for the server's event loop."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._now: VisionState | None = None

    @property
    def now(self) -> VisionState | None:
        """The states as clients see them."""
        return self._now

    async def follow(self, name: str | None) -> None:
        """Go to the box's state, in one step and only where it is another one."""
        state = vision_state(name)
        if state == self._now:
            return
        self._now = state
        await self._write(("VisionStateMachine",), state.system, _SYSTEM)
        await self._write(("VisionStateMachine", "AutomaticModeStateMachine"), state.automatic, _AUTOMATIC)

    async def _write(self, path: tuple[str, ...], name: str | None, states: Mapping[str, int]) -> None:
        space = self._space
        current, number = space.node(*path, "CurrentState"), space.node(*path, "CurrentState", "Id")
        if name is None:
            for node in (current, number):
                await space.write_bad(node, ua.StatusCodes.BadStateNotActive)
            return
        value: Any = ua.LocalizedText(name, "en")
        await space.write(current, value, ua.VariantType.LocalizedText)
        await space.write(number, space.type_id(states[name]), ua.VariantType.NodeId)
