"""A candidate bundle beside the running one: it scores the same parts in spare time, and both are compared.

In: images and results of finished parts. Out: comparisons in a database beside the outbox, and a report.
Nothing goes to the gate.

One thread, ``shadow``, and one process of the lowest priority, which stands still while a part waits for its
decision. A candidate that hangs, grows or crashes ends with its process.

Read ``runner.py`` first (the box's side), then ``process.py`` (the candidate's), then ``report.py``.
"""
