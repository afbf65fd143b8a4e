"""Scores and synchronisation to a verdict, and the messages that carry it. Pure; clocks are arguments."""
