"""Results on disk until the consumer has them: the outbox and the thread that empties it."""
