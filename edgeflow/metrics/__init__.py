"""Metrics of a running box: for Prometheus over HTTP, and over MQTT every minute.

In: results from the line, ids from outbox and delivery, counters that the services keep. Out: a page for
Prometheus, the message ``metrics``.

Threads: ``metrics`` counts what came and publishes; ``metrics-http`` answers Prometheus. The line puts a
result into a bounded queue and never waits.

Read ``part_metrics.py`` first, then ``box_metrics.py``.
"""

from edgeflow.metrics.box_metrics import BoxMetrics, Sources
from edgeflow.metrics.figures import BundleFigures, WatchdogFigures
from edgeflow.metrics.part_metrics import PartMetrics
from edgeflow.metrics.publisher import MetricsPublisher

__all__ = ["BoxMetrics", "BundleFigures", "MetricsPublisher", "PartMetrics", "Sources", "WatchdogFigures"]
