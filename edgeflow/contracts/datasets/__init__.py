"""Data set layouts on disk, read to recorded parts."""
