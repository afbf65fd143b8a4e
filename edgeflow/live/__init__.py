"""Live streams of a running box, for programs beside it.

In: decisions and finished parts from the line, which never waits here. Out: JSON lines on the box's local
socket: results, status and small pictures for ``edgeflow web``; decisions, results and state at once for
``edgeflow opcua`` and ``edgeflow modbus``. Without a reader only the latest results and the counts are kept.

Threads: ``live`` makes pictures and JSON; each reader is written to on the thread of its connection.

Read ``stream.py`` first, then ``decision_stream.py``.
"""

from edgeflow.live.decision_stream import DecisionStream
from edgeflow.live.previews import LivePart
from edgeflow.live.stream import LiveStream

__all__ = ["DecisionStream", "LivePart", "LiveStream"]
