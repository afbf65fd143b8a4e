"""``train``, ``evaluate``, ``export`` and ``bench --against``: options in, progress and tables out.

``edgeflow/cli/workstation.py`` parses the options and loads these modules when they are used. Read
``export.py`` first.
"""
