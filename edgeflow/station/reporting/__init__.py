"""Reports of a running box about itself: its metrics, and its decisions for programs beside it.

In: the services of the station. Out: what ``edgeflow.metrics`` publishes and ``edgeflow.live`` streams.

Threads: those of ``edgeflow.metrics``. Read ``box_reporting.py``.
"""
