"""Codes of alarms, for programs."""

from __future__ import annotations

from typing import Literal

__all__ = ["AlarmCode"]

# What may be wrong with a box; docs/reference/alarms.md says what each one means and what to do.
AlarmCode = Literal[
    "outbox",
    "results_dropped",
    "results_set_aside",
    "late_decisions",
    "camera_blind",
    "camera_frozen",
    "camera_stale",
    "sync_mismatch",
    "sync_ambiguous",
    "sync_latency",
    "trigger_flood",
    "trigger_message",
    "trigger_refused",
    "trigger_repeated",
    "camera_swapped",
    "camera_view",
    "evidence_stopped",
    "bundle_expires",
    "clock_jumped",
    "golden_parts",
    "graph_refused",
    "history",
    "connection_flapping",
    "broker_refuses",
    "broker_unreachable",
    "decisions_unheard",
    "message_withheld",
    "metrics_stopped",
    "ng_series",
    "no_part",
    "overrun",
    "product_failed",
    "product_memory",
    "product_unpinned",
    "record_failed",
    "score_drift",
    "scoring_failed",
    "scoring_hangs",
    "shadow_refused",
    "shadow_stopped",
    "thread_died",
    "thread_hangs",
    "undecided_rate",
]
