"""Recorded parts as training, validation and test sets; cached arrays of them."""
