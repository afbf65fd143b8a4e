"""Foreground: the masks of a bundle, chosen among candidates within the recipe's budgets.

In: an export job and a teacher of masks. Out: files and manifest entry of the foreground.
Starts no threads. Read ``choice.py`` first, then ``candidates.py``.
"""
