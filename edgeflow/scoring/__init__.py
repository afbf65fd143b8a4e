"""Scoring: images to anomaly maps, view scores and a part score; verification of a bundle.

In: a bundle, one of its graphs and a device. Out: a ``Scorer``, and checks of the golden parts.
Starts no threads; verification of a new bundle runs in a child process.
Read ``scorer.py`` first, then ``verification.py``.
"""
