"""Images, maps and the record of a part, kept on the disk for as long as there is room.

In: the frames, maps and result of a part whose evidence is wanted. Out: one folder per part, and an alarm
while evidence cannot be kept.

Threads: ``evidence-copy`` frees the cameras' shared memory, ``evidence`` writes and removes folders. The line
never waits for them.

Read ``writer.py`` first. ``retention.py`` removes the oldest folders, ``overview.py`` reads kept parts back.
"""
