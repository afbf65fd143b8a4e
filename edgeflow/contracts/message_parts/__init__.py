"""Parts of the MQTT payloads, shared by several messages."""
