"""Frozen extractors, their features on disk, and the statistics of normal parts.

In: images of normal parts. Out: cached features, their mean and deviation, and the deviation of every pixel's
score. Read ``extractors.py`` first, then ``feature_cache.py``.
"""
