"""Checks of a box, and measurements of its speed.

In: a box file or a bundle. Out: findings with what to do next, or milliseconds and megabytes. Runs beside a
line and never disturbs it. Read ``check_box.py`` first for ``edgeflow check``, ``benchmark.py`` for
``edgeflow bench``, ``data_set/inspection.py`` for ``edgeflow data inspect``.
"""
