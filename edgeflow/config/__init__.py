"""The box file: one model per section, read strictly, every problem reported at once."""
