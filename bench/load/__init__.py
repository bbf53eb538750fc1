"""The load generator: several processes with raw sockets that speak just enough MQTT and HTTP."""
