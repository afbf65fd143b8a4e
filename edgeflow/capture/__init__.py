"""Triggers and frames in, view sets out: in order, one for every trigger.

In: frames of all cameras, triggers of the interval source or of MQTT messages. Out: view sets, each with
the frames of one part, or with the views that are missing; alarms where triggers, frames and results do
not agree.

Threads: ``capture`` starts the thread "synchronizer", which takes events from a queue and applies them one
after the other; ``triggers`` starts the thread "trigger" of the interval source. The cameras' threads and
the network thread only put events into the queue.

Read first: ``events`` and ``assembler``, which are pure; then ``capture``, which connects them with
cameras and threads. ``synchronizer`` chooses one of the matchers in ``matching``.
"""
