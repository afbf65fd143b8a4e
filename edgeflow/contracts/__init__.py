"""Formats that the workstation and the box share: manifest, messages, images, preprocessing, thresholds.

In: bytes and plain data. Out: frozen, validated models. Starts no threads. Read ``manifest.py`` first, then
``messages.py``.
"""
