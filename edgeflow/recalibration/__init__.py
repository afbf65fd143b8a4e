"""New thresholds proposed from a box's labels, beside the running box: shown first, written when accepted.

In: the box's history, evidence and bundle. Out: a proposal on the disk; then the bundle's next version.

One child process at a time, of the lowest priority, and one thread that follows it.

Read ``proposal.py`` first, then ``process.py`` (the child) and ``runner.py`` (whoever starts it).
"""
