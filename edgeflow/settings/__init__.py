"""The sections of a box file, one file per concern; ``edgeflow.config`` puts them together."""
