"""Recorded parts as training, validation and test sets; cached arrays of them.

In: the recipe's section ``data`` and a folder of parts. Out: lists of parts with labels, and arrays of
their images on disk. Read ``dataset.py`` first.
"""
