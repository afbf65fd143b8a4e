"""Access to the page: users and their roles, sessions, and the checks of every request.

Read ``guard.py`` first.
"""
