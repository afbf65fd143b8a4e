"""Foreground masks of parts while training and measuring: teachers, their cache, the distilled head."""
