"""Thresholds from scores of good parts, and their effect on labelled parts.

In: scores of normal parts, and of defective ones where there are some. Out: thresholds with intervals,
recall and false rejects; a bundle's next version. Starts no threads. Read ``thresholds.py`` first, then
``recalibrate.py``.
"""
