"""The thinking of a line controller: when the gate opens, and what has been received; no input or output."""
