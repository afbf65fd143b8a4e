"""Setup of a box: its cameras alone, for focusing and aiming them on the page before the line runs.

In: the box file. Out: pictures and figures on the box's local socket. Read ``run_setup.py``.
"""
