"""A trained model on disk: our format, and the official files."""
