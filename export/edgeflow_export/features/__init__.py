"""Frozen extractors, their features on disk, and the statistics of normal parts."""
