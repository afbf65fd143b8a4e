"""Sections of a box file for those who watch over boxes: ``metrics`` and ``log``.

In: YAML. Out: frozen models. Threads: none. Read ``metrics.py`` first.
"""

from edgeflow.config.monitoring.log import LogConfig, LogFormat
from edgeflow.config.monitoring.metrics import MetricsConfig

__all__ = ["LogConfig", "LogFormat", "MetricsConfig"]
