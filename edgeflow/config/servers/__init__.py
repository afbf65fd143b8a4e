"""Sections of a box file about what serves people and controllers beside the box."""
