"""Fault injection: real brokers, boxes and controllers, killed, cut off and filled up, and what it cost."""
