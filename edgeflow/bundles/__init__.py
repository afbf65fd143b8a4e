"""Bundle files: opened, checked, written, signed, trusted and switched.

In: a bundle file and the box's ``trust`` section. Out: an opened ``Bundle`` whose hashes are checked.
Starts no threads. Read ``bundle.py`` first, then ``trust.py``.
"""
