"""Image files: depth, orientation, header and masks."""
