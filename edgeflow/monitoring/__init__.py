"""Health of a box: alarms about cameras, views, clocks, threads and the line.

In: camera health, frames, model images, verdicts and times. Out: alarms, and camera status over MQTT.

Threads: ``camera_health`` ("health"), ``clock_monitor`` ("clock-watch"), ``view_monitor`` ("views") and
``supervision`` ("supervisor") look about once a second. ``line_monitor`` and ``transfer_monitor`` have
none: the threads that call them run them.

Read first: ``edgeflow/alarms.py``, where all alarms are raised and cleared; then ``line_monitor``.
``view_appearance`` is pure.
"""
