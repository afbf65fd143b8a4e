"""Figures of a box as Prometheus reads them: names, units and labels of its world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from edgeflow.contracts.message_parts.names import StateName
from edgeflow.metrics.figures import BoxFigures, CandidateFigures, EvidenceFigures, OutboxFigures
from edgeflow.metrics.histogram import HistogramFigures
from edgeflow.metrics.part_metrics import PartFigures

__all__ = ["BoxCollector"]

Labelled = Iterable[tuple[tuple[str, ...], float]]


class BoxCollector(Collector):
    """Makes all metrics of a box at every reading; nothing is kept between two of them.

    Args:
        figures: of this moment.
        about: labels of the box: site, line, station, box and version.
    """

    def __init__(self, figures: Callable[[], BoxFigures], about: Mapping[str, str]) -> None:
        self._figures = figures
        self._about = dict(about)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the box need not be ready when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        figures = self._figures()
        yield from self._identity(figures)
        yield from _parts(figures.parts)
        if figures.outbox is not None:
            yield from _outbox(figures.outbox)
        yield from _broker(figures)
        yield from _cameras(figures)
        yield from _alarms(figures)
        if figures.evidence is not None:
            yield from _evidence(figures.evidence)
        if figures.candidate is not None:
            yield from _candidate(figures.candidate)
        yield from _process(figures)

    def _identity(self, figures: BoxFigures) -> Iterator[Metric]:
        yield InfoMetricFamily("edgeflow_box", "The box, and its program.", value=self._about)
        bundle = figures.bundle
        yield InfoMetricFamily(
            "edgeflow_bundle",
            "The bundle and the graph that inspect.",
            value={
                "name": bundle.name,
                "version": str(bundle.version),
                "sha256": bundle.sha256[:16],
                "graph": bundle.graph,
                "backend": bundle.backend,
                "precision": bundle.precision,
            },
        )
        if figures.products:
            loaded = [((name,), float(is_loaded)) for name, is_loaded in figures.products.items()]
            text = "1 while the product's bundle is loaded."
            yield _gauge("edgeflow_product_loaded", text, ("product",), loaded)
        states = [((state,), float(state == figures.state)) for state in get_args(StateName)]
        yield _gauge("edgeflow_state", "1 for the present state of the station.", ("state",), states)


def _parts(parts: PartFigures) -> Iterator[Metric]:
    verdicts = [((verdict,), float(count)) for verdict, count in parts.verdicts.items()]
    yield _counter("edgeflow_parts", "Inspected parts by verdict.", ("verdict",), verdicts)
    reasons = [((code,), float(count)) for code, count in parts.reasons.items()]
    yield _counter("edgeflow_rejects", "Parts that are not OK by reason.", ("reason_code",), reasons)
    if parts.products:
        counts = [
            ((product, verdict), float(count))
            for product, by_verdict in parts.products.items()
            for verdict, count in by_verdict.items()
        ]
        text = "Inspected parts of a box with several products."
        yield _counter("edgeflow_product_parts", text, ("product", "verdict"), counts)
    missed = float(parts.deadlines_missed)
    yield CounterMetricFamily(
        "edgeflow_deadlines_missed", "Parts that were decided after their deadline.", missed
    )
    stages = HistogramMetricFamily("edgeflow_stage_seconds", "Time of each stage.", labels=("stage",))
    for stage, times in parts.stages.items():
        if stage != "total":
            stages.add_metric([stage], _buckets(times), times.total)
    yield stages
    if (total := parts.stages.get("total")) is not None:
        yield HistogramMetricFamily(
            "edgeflow_decision_seconds", "From the trigger to the verdict.", _buckets(total), total.total
        )
    yield _scores(parts)
    text = "Results that came faster than they could be counted here."
    yield CounterMetricFamily("edgeflow_uncounted_results", text, float(parts.uncounted))


def _scores(parts: PartFigures) -> Metric:
    text = "Scores, 1 is the threshold; quantiles of the latest 500 parts."
    name = "edgeflow_view_score"
    family = SummaryMetricFamily(name, text, labels=("view",))
    for view, scores in parts.views.items():
        latest = scores.latest
        for quantile, value in (("0.5", latest.p50), ("0.9", latest.p90), ("0.99", latest.p99)):
            family.add_sample(name, {"view": view, "quantile": quantile}, value)
        family.add_metric([view], scores.count, scores.total)
    return family


def _outbox(outbox: OutboxFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily("edgeflow_outbox_results", "Results that wait for delivery.", outbox.waiting)
    text = "Running time since the oldest waiting result was stored."
    yield GaugeMetricFamily("edgeflow_outbox_oldest_age_seconds", text, outbox.oldest_age_s)
    yield GaugeMetricFamily("edgeflow_outbox_size_bytes", "Stored results.", outbox.bytes)
    text = "Results that can never be delivered and are kept."
    yield GaugeMetricFamily("edgeflow_outbox_set_aside_results", text, outbox.set_aside)
    text = "Results that were given up before they were delivered."
    yield CounterMetricFamily("edgeflow_outbox_dropped_results", text, outbox.dropped)


def _broker(figures: BoxFigures) -> Iterator[Metric]:
    link = figures.link
    yield GaugeMetricFamily("edgeflow_broker_connected", "1 while a connection stands.", link.connected)
    text = "Connections that the broker accepted."
    yield CounterMetricFamily("edgeflow_broker_connections", text, link.connections)
    text = "Decisions that were lost for want of a connection."
    yield CounterMetricFamily("edgeflow_decisions_unsent", text, link.decisions_unsent)
    text = "Decisions that the broker refused, or that nobody subscribed to."
    yield CounterMetricFamily("edgeflow_decisions_refused", text, link.decisions_refused)


def _cameras(figures: BoxFigures) -> Iterator[Metric]:
    cameras, view = figures.cameras, ("view",)
    well = [((name,), float(camera.well)) for name, camera in cameras.items()]
    yield _gauge("edgeflow_camera_up", "1 if the camera needs no attention.", view, well)
    fps = [((name,), camera.fps) for name, camera in cameras.items() if camera.fps is not None]
    yield _gauge("edgeflow_camera_frames_per_second", "Over the latest frames.", view, fps)
    ages = [
        ((name,), camera.last_frame_age_ms / 1000)
        for name, camera in cameras.items()
        if camera.last_frame_age_ms is not None
    ]
    yield _gauge("edgeflow_camera_last_frame_age_seconds", "Age of the latest frame.", view, ages)
    lost = [((name,), float(camera.frames_lost)) for name, camera in cameras.items()]
    yield _counter(
        "edgeflow_camera_frames_lost", "Frames that came damaged or late and were not used.", view, lost
    )
    reconnects = [((name,), float(camera.reconnects)) for name, camera in cameras.items()]
    yield _counter("edgeflow_camera_reconnects", "Times that the camera was opened again.", view, reconnects)


def _alarms(figures: BoxFigures) -> Iterator[Metric]:
    labels = ("code", "subject", "severity")
    standing = [((alarm.code, alarm.subject, alarm.severity), 1.0) for alarm in figures.alarms]
    yield _gauge("edgeflow_alarm", "1 while the alarm stands.", labels, standing)
    count = len(figures.alarms)
    yield GaugeMetricFamily("edgeflow_alarms_active", "Standing alarms.", count)
    raised = [((code,), float(times)) for code, times in figures.alarms_raised.items()]
    yield _counter("edgeflow_alarms_raised", "Alarms raised by code.", ("code",), raised)


def _evidence(evidence: EvidenceFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily("edgeflow_evidence_size_bytes", "Evidence on the disk.", evidence.bytes)
    yield GaugeMetricFamily("edgeflow_evidence_parts", "Parts with evidence on the disk.", evidence.parts)
    text = "Parts whose evidence was wanted but could not be kept."
    yield CounterMetricFamily("edgeflow_evidence_lost_parts", text, evidence.lost)


def _candidate(candidate: CandidateFigures) -> Iterator[Metric]:
    text = "1 while a candidate bundle is compared with the running one."
    yield GaugeMetricFamily("edgeflow_shadow_comparing", text, float(candidate.comparing))
    outcomes = [((outcome,), float(count)) for outcome, count in candidate.outcomes.items()]
    text = "Parts that a candidate bundle judged beside the running one, by outcome."
    yield _counter("edgeflow_shadow_parts", text, ("outcome",), outcomes)
    skipped = [((reason,), float(count)) for reason, count in candidate.skipped.items()]
    text = "Parts that the candidate bundle did not judge, by reason."
    yield _counter("edgeflow_shadow_skipped_parts", text, ("reason",), skipped)
    text = "Processes of the candidate bundle that crashed, hung or grew too large."
    yield CounterMetricFamily("edgeflow_shadow_ended_processes", text, float(candidate.ended))


def _process(figures: BoxFigures) -> Iterator[Metric]:
    text = "Results that are missing in the history on the box."
    yield CounterMetricFamily("edgeflow_history_missed_results", text, figures.history_missed)
    watchdog = figures.watchdog
    text = "1 if a service manager watches over the box."
    yield GaugeMetricFamily("edgeflow_watchdog_supervised", text, watchdog.supervised)
    if watchdog.limit_s is not None:
        text = "So long the service manager waits for a sign of life."
        yield GaugeMetricFamily("edgeflow_watchdog_limit_seconds", text, watchdog.limit_s)
    if watchdog.fed_age_s is not None:
        text = "Since the last sign of life."
        yield GaugeMetricFamily("edgeflow_watchdog_fed_age_seconds", text, watchdog.fed_age_s)
    temperatures = [(tuple(name.split(" ", 1)), value) for name, value in figures.temperatures_c.items()]
    yield _gauge("edgeflow_temperature_celsius", "The system's sensors.", ("zone", "type"), temperatures)


def _buckets(histogram: HistogramFigures) -> list[tuple[str, float]]:
    return [(str(bound), float(count)) for bound, count in histogram.buckets] + [("+Inf", histogram.count)]


def _counter(name: str, text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family
