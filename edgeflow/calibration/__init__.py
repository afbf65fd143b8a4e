"""Thresholds from the scores of normal parts, at export and again on the box."""
