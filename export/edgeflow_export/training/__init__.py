"""Recipe to checkpoint: the flow and the steps around it."""
