"""Camera drivers, one file per kind."""
