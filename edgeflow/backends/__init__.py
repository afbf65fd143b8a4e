"""Inference back ends, one file per library."""
