"""The MQTT door: MQTT 3.1.1 and 5 over TCP, TLS and WebSocket. Devices report here and hear what is meant for them.

It is not a broker: every message goes to the log, and a PUBACK says that it is there, durably. Nothing a device
publishes reaches another one from here, but for free topics, which some dialects have (`free_topics`).
"""

from roadstead.gateways.mqtt.door import (
    Account,
    Admission,
    Doorkeeper,
    Hello,
    Listener,
    Peers,
    Rejection,
    Route,
    TopicRules,
    Uplinks,
    Waiter,
)
from roadstead.gateways.mqtt.gateway import Gateway
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.metrics import Metrics
from roadstead.gateways.mqtt.reasons import Reason

__all__ = [
    "Account",
    "Admission",
    "Doorkeeper",
    "Gateway",
    "Hello",
    "Limits",
    "Listener",
    "Metrics",
    "Peers",
    "Reason",
    "Rejection",
    "Route",
    "TopicRules",
    "Uplinks",
    "Waiter",
]
