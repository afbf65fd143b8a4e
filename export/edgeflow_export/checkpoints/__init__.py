"""Checkpoints: trained models read from this program's files or from official ones.

In: files. Out: a ``TrainedModel``. Starts no threads. Read ``checkpoint.py`` first.
"""
