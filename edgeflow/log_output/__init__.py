"""Form of a process's log: text for people, JSON, or fields for journald.

In: records of Python's logging; fields such as ``event``, ``part_id`` and ``camera`` come as ``extra``.
Out: lines on standard error, or datagrams to journald, which nobody waits for.

Threads: none. Read ``configure.py`` first; then ``fields.py``.
"""

from edgeflow.log_output.configure import begin_log, is_for_people, journal_handler, use_format

__all__ = ["begin_log", "is_for_people", "journal_handler", "use_format"]
