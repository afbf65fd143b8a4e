"""Key files and shared secrets."""
