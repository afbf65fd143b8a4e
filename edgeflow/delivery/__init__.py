"""Results on the disk until the consumer has confirmed them: the outbox, and the thread that sends from it.

In: results of the line; confirmations from the broker or the consumer. Out: result messages over MQTT, and
records of results that were dropped for lack of space.

Threads: ``outbox`` writes the database, ``delivery`` sends and waits for confirmations.

Read ``outbox.py`` first (the queue on the disk), then ``sender.py`` (the thread) with ``send_window.py``
(what is due again; pure). ``offline.py`` works without a running box, ``store/`` is the file.
"""
