"""What one connection may use, and how long it may take."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the MQTT door. Times are in seconds."""

    connections: int = 50_000
    """Of one process; those that come after are closed at once."""
    packet_bytes: int = 1_114_112
    """Largest packet taken from a device: 1 MiB of payload with its topic."""
    connect_bytes: int = 65_536
    """Largest first packet: nobody is known yet."""
    connect_s: float = 10.0
    """From the start of a connection to a whole CONNECT; a TLS or WebSocket handshake may take as long before that."""
    admission_s: float = 10.0
    """How long the doorkeeper may think."""
    receive_maximum: int = 1_000
    """QoS 1 messages of one session that may wait for the log before its socket is no longer read."""
    waiting_bytes: int = 33_554_432
    """What may wait for the log, of all sessions together."""
    tenant_waiting_bytes: int = 2_097_152
    """Of that, of one organization, while it is not the only one that is connected."""
    tenant_bytes_per_s: int = 0
    """What is read of the devices of one organization; 0: as much as there is."""
    topic_aliases: int = 16
    """Topic aliases a device may set (MQTT 5)."""
    send_window: int = 100
    """QoS 1 messages sent to a device and not acknowledged (MQTT 5 devices may ask for fewer)."""
    outgoing_messages: int = 1_000
    """Messages that may wait for a device."""
    outgoing_bytes: int = 4_194_304
    """Payload and topic bytes that may wait for a device."""
    subscriptions: int = 100
    """Filters of one session."""
    session_expiry_s: int = 86_400
    """How long a session without connection is kept at most, in memory."""
    parked_sessions: int = 10_000
    """Sessions without connection that are kept; the oldest goes first."""
    parked_bytes: int = 67_108_864
    """Undelivered bytes that those may hold together."""
    linger_s: float = 2.0
    """How long a closed connection may take to swallow its last bytes."""
