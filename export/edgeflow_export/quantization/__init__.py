"""INT8 accepted or refused by its effect on verdicts."""
