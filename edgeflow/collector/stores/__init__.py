"""Databases of the collector: ``store.py`` is their interface, and each has a file of its own.

In: batches of rows. Out: committed rows, or an error that says whether to try again. Threads: none.
"""
