"""Every result on the box, without its images, and the labels that people gave: a database of its own.

In: results that the outbox has on the disk; labels from page, commands and MQTT. Out: lists, statistics,
trends and table files, for any process beside the running box and also without one.

Threads: ``history`` writes. It is bounded, and neither the line nor the outbox ever waits for it.

Read ``writer.py`` first (the thread), then ``reader.py`` with ``filters.py`` (what others may ask).
``labelling.py`` takes labels, ``shifts.py`` is the site's day, ``database/`` the file.
"""
