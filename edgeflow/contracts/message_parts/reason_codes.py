"""Reasons of verdicts, for programs."""

from __future__ import annotations

from typing import Literal

__all__ = ["ReasonCode"]

# Why a part got its verdict, for programs; docs/reference/reason-codes.md says what each one means.
ReasonCode = Literal[
    "ok",
    "degraded",
    "defect",
    "missing_views",
    "skew",
    "mixed_parts",
    "unnamed_part",
    "overrun",
    "stopped",
    "trigger_refused",
    "unknown_product",
    "view_frozen",
    "view_blind",
    "not_scored",
    "scoring_failed",
    "score_not_finite",
    "no_threshold",
    "no_foreground",
    "late",
    "fault",
]
