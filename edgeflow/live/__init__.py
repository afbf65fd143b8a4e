"""Live stream of a running box: results, status and small pictures for whoever watches it.

In: finished parts from the line, which never waits here. Out: JSON lines on the box's local socket, for
``edgeflow web``. Without a watcher only the latest results and the counts are kept.

Threads: ``live`` makes pictures and JSON; each watcher is written to on the thread of its connection.

Read ``stream.py`` first.
"""

from edgeflow.live.previews import LivePart
from edgeflow.live.stream import LiveStream

__all__ = ["LivePart", "LiveStream"]
