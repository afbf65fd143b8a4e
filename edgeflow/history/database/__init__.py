"""The history's file: ``schema.py`` opens, migrates and sets it aside; ``store.py`` writes its tables."""
