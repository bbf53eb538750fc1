"""MQTT over WebSocket (section 6): a layer that carries the byte stream in binary messages."""

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from roadstead.gateways.layer import Layer, ProtocolFactory
from roadstead.gateways.mqtt.limits import Limits

PATHS = frozenset({"/mqtt", "/"})
SUBPROTOCOL = "mqtt"


class WebSocketServer:
    """Makes a byte stream out of WebSocket messages for a protocol."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wrap(self, factory: ProtocolFactory) -> ProtocolFactory:
        """A protocol factory for `create_server` that puts WebSocket under the protocols of `factory`."""
        return lambda: _WebSocketLayer(self._limits.connect_s, factory)


class _WebSocketLayer(Layer):
    """One connection. Packets may be split over messages, and share one [MQTT-6.0.0-2]."""

    def __init__(self, handshake_s: float, factory: ProtocolFactory) -> None:
        super().__init__(factory, handshake_s=handshake_s)
        self._socket = WSConnection(ConnectionType.SERVER)

    def data_received(self, data: bytes) -> None:
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._take(event)
        except RemoteProtocolError as error:
            self._answer(error.event_hint)
            self._finish()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._is_closing:
            self._below.write(self._socket.send(BytesMessage(data=bytes(data))))

    def close(self) -> None:
        self._close(CloseReason.NORMAL_CLOSURE)

    def _take(self, event: Event) -> None:
        match event:
            case BytesMessage():
                self.pass_up(bytes(event.data))
            case Request():
                self._answer_request(event)
            case Ping():
                self._answer(event.response())
            case TextMessage():
                self._close(CloseReason.UNSUPPORTED_DATA)  # [MQTT-6.0.0-1]
            case CloseConnection():
                self._answer(event.response())
                self._finish()

    def _answer_request(self, request: Request) -> None:
        path = request.target.partition("?")[0]
        if path not in PATHS or SUBPROTOCOL not in request.subprotocols:
            status = 404 if path not in PATHS else 400
            self._answer(RejectConnection(status_code=status, headers=[(b"content-length", b"0")]))
            self._finish()
            return
        self._answer(AcceptConnection(subprotocol=SUBPROTOCOL))  # [MQTT-6.0.0-4]
        self.open()

    def _close(self, code: CloseReason) -> None:
        if self._is_closing:
            return
        if self._above is not None:
            self._answer(CloseConnection(code=code))
        self._finish()

    def _answer(self, event: Event | None) -> None:
        if event is None or self._is_closing:
            return
        try:
            self._below.write(self._socket.send(event))
        except LocalProtocolError:
            return  # it is closing already

    def _finish(self) -> None:
        self._is_closing = True
        self.stop_timer()
        self._below.close()
