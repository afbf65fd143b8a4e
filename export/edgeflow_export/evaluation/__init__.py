"""Evaluation: a model or bundle measured on labelled test parts.

In: a model or bundle and a dataset. Out: a report, tables and picture sheets.
Starts no threads. Read ``evaluate.py`` first.
"""
