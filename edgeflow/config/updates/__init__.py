"""Sections of a box file about new bundles: a candidate beside the running one, and the fleet."""
