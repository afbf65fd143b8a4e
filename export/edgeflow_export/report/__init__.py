"""The HTML page that every bundle carries."""
