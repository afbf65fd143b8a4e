"""Message table of the page: titles and advice for alarms, words for states and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ADVICE", "REASONS", "STATES", "VERDICTS", "Advice"]


def _(text: str) -> str:
    """Mark a text for translation; it is translated when a page is made."""
    return text


@dataclass(frozen=True)
class Advice:
    """Words for an alarm.

    Attributes:
        title: what is wrong; ``{subject}`` stands for the view or thread that the alarm names.
        action: what to do.
    """

    title: str
    action: str


ADVICE: Mapping[str, Advice] = {
    "broker_refuses": Advice(
        _("The broker refuses messages"),
        _("Give the box's user the right at the broker, then run 'edgeflow check BOX --publish'."),
    ),
    "broker_unreachable": Advice(
        _("No connection to the broker"),
        _("Check the network, the broker and its password. Results wait in the box meanwhile."),
    ),
    "bundle_expires": Advice(_("The model expires soon"), _("Install a newer bundle before the date.")),
    "camera_blind": Advice(
        _("Camera {subject}: the picture is black, white or covered"),
        _("Check light, glass and focus of this camera."),
    ),
    "camera_frozen": Advice(
        _("Camera {subject}: the picture stands still"), _("Switch the camera off and on.")
    ),
    "camera_stale": Advice(
        _("Camera {subject}: no pictures"),
        _("Check the cable, power and trigger of this camera. It is opened again by itself."),
    ),
    "camera_swapped": Advice(
        _("Cameras are swapped"), _("Exchange the cables of the cameras that the text names.")
    ),
    "camera_view": Advice(
        _("Camera {subject}: the picture has changed"), _("Check mount, focus and light of this camera.")
    ),
    "clock_jumped": Advice(
        _("The clock of the box was set"), _("Check the time server. The alarm ends after ten minutes.")
    ),
    "connection_flapping": Advice(
        _("The connection to the broker comes and goes"),
        _("Check the network, and that no other client has this client id."),
    ),
    "decisions_unheard": Advice(
        _("Nobody listens to the decisions"),
        _("Start the line controller, and compare its topic with the one in the text."),
    ),
    "evidence_stopped": Advice(
        _("Pictures are not kept"),
        _("Make room on the evidence disk, or repair it. Parts are inspected meanwhile."),
    ),
    "golden_parts": Advice(
        _("The model does not compute what it should"),
        _("Go back to the bundle that ran before, and run 'edgeflow verify' on this box."),
    ),
    "history": Advice(
        _("Results are not recorded in the history"),
        _("Make room on the disk, or do what the text says. Parts are inspected and delivered meanwhile."),
    ),
    "metrics_stopped": Advice(
        _("Metrics cannot be read"),
        _("Tell whoever looks after the monitoring. Parts are inspected meanwhile."),
    ),
    "graph_refused": Advice(
        _("Another graph of the bundle runs than planned"),
        _("Do what the text says. Parts are inspected meanwhile."),
    ),
    "late_decisions": Advice(_("Decisions come too late"), _("Trigger more slowly, or use a faster graph.")),
    "message_withheld": Advice(
        _("A message is too large for the broker"), _("Raise the limit of the broker.")
    ),
    "ng_series": Advice(
        _("Many parts in a row are NG"),
        _("Look at the last parts: the process, a camera, the light or the model has changed."),
    ),
    "no_part": Advice(_("No part came for a long time"), _("Check the line and the trigger.")),
    "outbox": Advice(
        _("Results cannot be stored or delivered"), _("Do what the text says. Results wait meanwhile.")
    ),
    "overrun": Advice(
        _("Parts come faster than they are inspected"), _("Trigger more slowly, or use a faster graph.")
    ),
    "product_failed": Advice(
        _("The model of a product does not run here"),
        _("Load a bundle of this product that does. Its parts are undecided until then."),
    ),
    "product_memory": Advice(
        _("Products change faster than their models fit into memory"),
        _("Raise runtime.memory_mb in the box file, or let fewer products take turns."),
    ),
    "product_unpinned": Advice(
        _("The box file does not name its product"), _("Write the product's name into trust.product.")
    ),
    "record_failed": Advice(
        _("A part was decided but not recorded"), _("See the log of the box, then press Reset.")
    ),
    "results_dropped": Advice(
        _("Results were dropped before they were delivered"),
        _("Start the consumer of the results, or raise the limits of the outbox."),
    ),
    "results_set_aside": Advice(
        _("Results are set aside"), _("Run 'edgeflow outbox aside BOX', remove the cause, then restore them.")
    ),
    "shadow_refused": Advice(
        _("The candidate model is not for this box"),
        _("Tell whoever tries it. Parts are inspected as before."),
    ),
    "shadow_stopped": Advice(
        _("The candidate model is no longer compared"),
        _("Tell whoever tries it. Parts are inspected as before."),
    ),
    "score_drift": Advice(
        _("Camera {subject}: the scores of good parts have drifted"),
        _("Clean the glass, check light, exposure and focus. If the change is wanted, calibrate."),
    ),
    "scoring_failed": Advice(
        _("A part could not be scored"), _("See the text. The alarm ends after 20 parts that were scored.")
    ),
    "scoring_hangs": Advice(
        _("Scoring does not answer"), _("The box restarts by itself under systemd; otherwise restart it.")
    ),
    "sync_ambiguous": Advice(
        _("Pictures cannot be assigned to parts for certain"),
        _("Trigger more slowly, or adjust the section sync."),
    ),
    "sync_latency": Advice(
        _("Pictures come too late"),
        _("Send less per picture, use a quicker link, or raise trigger.timeout_ms."),
    ),
    "sync_mismatch": Advice(
        _("Counts of triggers and pictures differ"),
        _("Check the trigger cables of the cameras and the network."),
    ),
    "thread_died": Advice(
        _("The program failed and ends"),
        _("Send the log to whoever maintains the box. systemd starts it again."),
    ),
    "thread_hangs": Advice(
        _("A part of the program waits: {subject}"), _("Repair the disk or the network that the text names.")
    ),
    "trigger_flood": Advice(_("Triggers come too fast"), _("Correct the sender of the triggers.")),
    "trigger_message": Advice(
        _("A trigger message was not understood in full"), _("Correct the key that the text names.")
    ),
    "trigger_refused": Advice(
        _("A trigger message was refused"),
        _("Correct the sender of the triggers; Reset makes the box forget its ids."),
    ),
    "trigger_repeated": Advice(
        _("Trigger ids come again"), _("Let the ids of the sender count on for longer, or send times.")
    ),
    "undecided_rate": Advice(
        _("Too many parts are undecided"), _("See the reasons of the last parts, and correct what they name.")
    ),
}
REASONS: Mapping[str, str] = {
    "ok": _("good"),
    "degraded": _("good, with a view missing"),
    "defect": _("defect found"),
    "missing_views": _("a view is missing"),
    "skew": _("pictures of different moments"),
    "mixed_parts": _("pictures of different parts"),
    "unnamed_part": _("the part has no id"),
    "overrun": _("came too fast"),
    "stopped": _("the station is stopped"),
    "trigger_refused": _("the trigger was refused"),
    "unknown_product": _("the product is unknown"),
    "view_frozen": _("a picture stands still"),
    "view_blind": _("a picture shows nothing"),
    "not_scored": _("not scored"),
    "scoring_failed": _("scoring failed"),
    "score_not_finite": _("the score is no number"),
    "no_threshold": _("there is no threshold"),
    "no_foreground": _("no part is to be seen"),
    "late": _("too late"),
    "fault": _("a fault"),
}
STATES: Mapping[str, str] = {
    "PreOperational": _("Starting"),
    "Initialized": _("Starting"),
    "Ready": _("Stopped"),
    "ContinuousExecution": _("Running"),
    "Halted": _("Ended"),
    "Error": _("Error"),
}
VERDICTS: Mapping[str, str] = {"OK": _("OK"), "NG": _("NG"), "UNDECIDED": _("Undecided")}
