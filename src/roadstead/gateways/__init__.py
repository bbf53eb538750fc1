"""Where devices knock: MQTT, and TLS that takes any client certificate."""
