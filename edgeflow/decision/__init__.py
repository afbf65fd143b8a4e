"""Scores and synchronisation to a verdict, and the messages that carry it.

In: a view set, its scores or the reason why there are none, the bundle's thresholds and the box's policy.
Out: a verdict, its decision message for the gate and its result message. Pure, clocks are arguments; no
threads.

Read first: ``decision``, then ``result``. ``deadline`` estimates the scoring time and raises the alarm on
late decisions; ``recorded_parts`` judges recorded parts without a line.
"""
