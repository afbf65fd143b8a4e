"""A bundle file: opened, checked, written, signed, trusted, switched."""
