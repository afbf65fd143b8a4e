"""`edgeflow check` and `edgeflow bench`: looks at a box or a bundle without running the line."""
