"""The outbox on the disk: its SQLite database, migration, repair and reserved space.

In: pending writes of the outbox's thread. Out: stored rows in order, records of drops, and errors that say
whether the file is damaged or the disk is full. It starts no threads.

Read ``database.py`` first: one transaction for many results, and the rule by which results are dropped.
``write_retry.py`` decides when to write again, ``repair.py`` saves what a damaged file still holds.
"""
