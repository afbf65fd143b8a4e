"""The networks, as published."""
