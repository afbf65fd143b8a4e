"""What the export line and the runtime share: neither restates a field."""
