"""Reports of a running box about itself: its metrics, gathered from its services.

In: the services of the station. Out: what ``edgeflow.metrics`` serves and publishes.

Threads: those of ``edgeflow.metrics``. Read ``box_reporting.py``.
"""
