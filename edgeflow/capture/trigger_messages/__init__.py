"""Trigger messages over MQTT: read, filtered, ordered, rate-limited."""
