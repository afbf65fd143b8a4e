"""The broker: its answers, limits and refusals, in plain words."""
