"""The foreground of a bundle: the cheapest within its budget, and its graph."""
