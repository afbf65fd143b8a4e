"""The history's file: ``schema.py`` opens, migrates and sets it aside; ``store.py`` writes its tables.

``alarm_log.py`` records from when to when alarms stood.
"""
