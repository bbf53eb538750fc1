"""The MQTT door of one process: its ports, and what the rest of the process asks of the sessions behind them."""

import asyncio
import socket
from collections.abc import Callable

from roadstead.core.free_topics import FreeTopics
from roadstead.gateways.mqtt.connection import Connection
from roadstead.gateways.mqtt.door import Doorkeeper, Listener, Peers, Uplinks
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.metrics import Metrics
from roadstead.gateways.mqtt.outbox import Done, Message
from roadstead.gateways.mqtt.reasons import Reason
from roadstead.gateways.mqtt.registry import REVOKED, LiveSession, Registry
from roadstead.gateways.mqtt.websocket import WebSocketServer
from roadstead.gateways.sockets import listen
from roadstead.gateways.tls import TlsServer
from roadstead.kernel.ids import TenantId

_BACKLOG = 4_096
_DRAIN_S = 2.0
_POLL_S = 0.01
_TCP_KEEP_ALIVE_S = 120


class Gateway:
    """Listens, and finds the session of a device. Several processes may share the ports."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        uplinks: Uplinks,
        metrics: Metrics,
        limits: Limits,
        *,
        answers: Uplinks | None = None,
        peers: Peers | None = None,
        on_hearing: Callable[[bytes], None] | None = None,
        on_carrying: Callable[[bytes, bytes], None] | None = None,
        free_topics: FreeTopics | None = None,
    ) -> None:
        """`answers` is the way for what `TopicRules.answers` name (None: that of all others).

        `on_hearing` is called with the 12 bytes of a device's id when its session has subscribed to something, and when
        a kept session with subscriptions goes on: what waits for the device can be delivered now. `on_carrying` is
        called with a device and the one whose session has subscribed to what is meant for it. `free_topics` is needed
        where a `TopicRules.house` is.
        """
        self._registry = Registry(
            doorkeeper=doorkeeper,
            uplinks=uplinks,
            answers=answers,
            peers=peers,
            on_hearing=on_hearing,
            on_carrying=on_carrying,
            free_topics=free_topics,
            metrics=metrics,
            limits=limits,
        )
        self._limits = limits
        self._servers: list[asyncio.Server] = []
        self.ports: dict[Listener, int] = {}
        """Where it listens, after `start`."""

    @property
    def name(self) -> str:
        """Of this gateway process in session notices and to its peers; another one at each start."""
        return self._registry.name

    @property
    def session_count(self) -> int:
        """Devices connected."""
        return len(self._registry.live)

    async def start(
        self,
        *,
        tcp: tuple[str, int] | None = None,
        tls: tuple[str, int, TlsServer] | None = None,
        websocket: tuple[str, int] | None = None,
    ) -> None:
        """Open the ports that are given as host and port (0: any free one). Raises `OSError` when one is in use."""
        try:
            if tcp is not None:
                await self._listen(Listener.MQTT, tcp[0], tcp[1], self._factory(Listener.MQTT))
            if tls is not None:
                await self._listen(Listener.MQTTS, tls[0], tls[1], tls[2].wrap(self._factory(Listener.MQTTS)))
            if websocket is not None:
                wrapped = WebSocketServer(self._limits).wrap(self._factory(Listener.WS))
                await self._listen(Listener.WS, websocket[0], websocket[1], wrapped)
        except OSError:
            self._stop_listening()
            raise

    async def stop(self) -> None:
        """Close the ports, let messages on their way reach the log (2 s at most), and say goodbye to every device."""
        self._stop_listening()
        registry = self._registry
        for session in registry.live.values():
            session.hold(True)
        await _wait_until(lambda: not any(session.is_waiting for session in registry.live.values()), _DRAIN_S)
        for session in list(registry.live.values()):
            session.close(Reason.SERVER_SHUTTING_DOWN, "the gateway goes down, connect again", keep=False)
        for connection in list(registry.connections):
            connection.end("the gateway goes down")
        registry.forget_all()
        await _wait_until(lambda: not registry.connections, self._limits.linger_s + 1.0)

    def find(self, device: bytes) -> LiveSession | None:
        """The session that a device (the 12 bytes of its id) has in this process."""
        return self._registry.live.get(device)

    def find_carriers(self, device: bytes) -> list[LiveSession]:
        """The sessions of others in this process that have subscribed to what is meant for a device; newest first."""
        return self._registry.find_carriers(device)

    def deliver(
        self,
        device: bytes,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        key: str = "",
        done: Done | None = None,
    ) -> bool:
        """Send a message to a device (the 12 bytes of its id) that is connected to this process.

        True when it is on its way; `done` then hears once whether it arrived: with QoS 1 when the device acknowledged
        it, or False when the session ended before. A message to a topic that the device has not subscribed to yet waits
        until it does. A `key` names what the message is about: the same message is not sent twice while it is on its
        way, and a newer one replaces one that has not left. False when there is no such session, or it cannot take
        more and was closed for it; `done` is not called then.
        """
        session = self._registry.live.get(device)
        if session is None:
            return False
        return session.deliver(Message(topic=topic, payload=payload, qos=qos, retain=retain, key=key, done=done))

    def kick(self, device: bytes, text: str = REVOKED) -> bool:
        """End the device's session at once, and one that is just being admitted; says whether there was one."""
        return self._registry.kick(device, text)

    def kick_fingerprint(self, fingerprint: bytes, text: str = REVOKED) -> int:
        """End the sessions of this certificate (SHA-256 of its DER) or `Admission.credential`; says how many."""
        return self._registry.kick_fingerprint(fingerprint, text)

    def kick_tenant(self, tenant: TenantId, text: str = REVOKED) -> int:
        """End the sessions of all devices of a tenant; says how many."""
        return self._registry.kick_tenant(tenant, text)

    def oust(self, device: bytes, gateway: str, opened_at: int) -> None:
        """What `Peers.arrived` told in another process: an older session of the device in this one ends."""
        self._registry.oust(device, gateway, opened_at)

    def _factory(self, listener: Listener) -> Callable[[], asyncio.Protocol]:
        return lambda: Connection(self._registry, listener)

    async def _listen(self, listener: Listener, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        listening = _bind(host, port)
        self.ports[listener] = listening.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(factory, sock=listening, backlog=_BACKLOG)
        self._servers.append(server)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()


async def _wait_until(is_so: Callable[[], bool], longest_s: float) -> None:
    for _ in range(round(longest_s / _POLL_S)):
        if is_so():
            return
        await asyncio.sleep(_POLL_S)


def _bind(host: str, port: int) -> socket.socket:
    listening = listen(host, port, backlog=_BACKLOG, shared=True)
    # Accepted connections inherit this: TCP finds out that a device is gone that promised no sign of life itself.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _TCP_KEEP_ALIVE_S)
    return listening
