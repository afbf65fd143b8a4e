"""Slow drift of the scores of good parts, per view: light that ages, glass that gets dirty, a new material.

In: scores of parts that were accepted. Out: alarms ``score_drift.{view}``, and a state file that the page and
the shift report read.

Threads: ``drift``; the line hands parts over and never waits.

Read ``reference.py`` first (the scores that later ones are compared with), then ``chart.py`` (CUSUM and
EWMA); both are pure. ``view.py`` is one view, ``part.py`` all of them, ``state.py`` the file, ``monitor.py``
the thread.
"""
