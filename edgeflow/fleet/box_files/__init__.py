"""Box files of a fleet: one whole file for one station, taken with a way back.

In: a file that the repository lists for this station. Out: the box file in its place, the one before beside
it, a restart of the box, and after its first parts the word that it stays, or the way back.

Read ``steps.py`` (pure) first, then ``agent.py``.
"""
