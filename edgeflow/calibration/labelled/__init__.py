"""Thresholds from labelled evidence, weighed to stand for all that a box has inspected.

In: the results of a box by one bundle, with the images of the parts that it kept. Out: new thresholds, and
what they would change. Starts no threads. Read ``completed_scores.py`` first, then ``calibration.py``.
"""
