"""Triggers that arrive as MQTT messages: parsed, filtered, put in order, rate-limited.

In: messages of the ``trigger`` topic. Out: at most one trigger for every part, or the reason why a message
was refused; alarms about the sender. No threads: everything runs on the network thread and never blocks.

Read first: ``mqtt_triggers``, then ``filter``. Everything but ``mqtt_triggers`` is pure.
"""
