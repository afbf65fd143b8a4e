"""`train`, `evaluate`, `export`, `bench --against`: options in, progress and tables out."""
