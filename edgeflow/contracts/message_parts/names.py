"""Fixed words in messages: verdicts, availability, states and severities."""

from __future__ import annotations

from typing import Literal

__all__ = ["Availability", "Severity", "StateName", "VerdictName"]

VerdictName = Literal["OK", "NG", "UNDECIDED"]
Availability = Literal["online", "offline", "stopped"]
# Names of the OPC 40100-1 vision state machine.
StateName = Literal["PreOperational", "Initialized", "Ready", "ContinuousExecution", "Halted", "Error"]
Severity = Literal["warning", "error"]
