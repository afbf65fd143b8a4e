"""``make demo``: recorded parts inspected, verdicts over MQTT."""
