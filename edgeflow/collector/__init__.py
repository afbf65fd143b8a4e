"""Results of many boxes in one database: received over MQTT, committed, then acknowledged.

In: results and notices of dropped results on the topics of all boxes, by a shared subscription, which several
collectors divide. Out: rows in SQLite or PostgreSQL, and an acknowledgement for each one that is there.

Threads: ``mqtt`` receives and puts messages into a bounded queue; ``writer`` commits batches and acknowledges
them; ``webhook`` sends what a site wants told; the main thread publishes the status and waits for the end.

Read ``collector.py`` first. ``stores/`` has one file for each database.
"""
