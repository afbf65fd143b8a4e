"""The outbox on disk: its database, its repair and its reserved space."""
