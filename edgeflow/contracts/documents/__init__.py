"""Strict documents: models, problems in plain words, YAML without its traps."""
