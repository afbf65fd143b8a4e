"""Inference back ends: one compiled graph on one device, per library.

In: a graph of a bundle and a device. Out: a ``GraphRunner`` that turns images into maps.
Graphs are inspected before a library reads them. Starts no threads of its own.
Read ``runner.py`` first, then ``registry.py``.
"""
