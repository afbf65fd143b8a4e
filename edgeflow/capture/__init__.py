"""Triggers and frames in, view sets out."""
