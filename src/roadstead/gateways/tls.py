"""TLS that asks every client for a certificate, takes any, and leaves the decision to the protocol above.

Devices bring self-signed certificates, those of authorities nobody here has heard of, and expired ones; which of them
are good is for the registry to say. The handshake proves that the client has the certificate's key, nothing else. The
`ssl` module cannot be told to do so, pyOpenSSL can; it runs over memory buffers between the TCP transport and the
protocol, which finds the certificate with `transport.get_extra_info("client_certificate")` (DER, or None).
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from roadstead.gateways.layer import Layer, ProtocolFactory

log = structlog.get_logger(__name__)

MQTT_ALPN = ("mqtt", "x-amzn-mqtt-ca", "mqttv311")
"""What MQTT clients call their protocol in the handshake; the last two are words of well-known device kits."""
HTTP_ALPN = ("http/1.1",)

_MODE_RELEASE_BUFFERS = 0x10
"""Idle connections give back their buffers: 30 KB each instead of 64 KB. pyOpenSSL has no name for it."""
_RECORDS_BYTES = 65_536


class Identity(msgspec.Struct, frozen=True):
    """Who the server is."""

    chain_pem: bytes
    """Its certificate, then those between it and the root."""
    key_pem: bytes
    """Its private key, not encrypted."""


class TlsServer:
    """Makes TLS out of TCP for a protocol. One may serve several ports."""

    def __init__(
        self,
        identity: Identity,
        *,
        alpn: Sequence[str],
        handshake_s: float = 10.0,
        on_handshake: Callable[[str], None] | None = None,
    ) -> None:
        """Raises `ValueError` when certificate and key cannot be used.

        `on_handshake` hears `ok`, `failed` or `timeout` for each.
        """
        self._alpn = [name.encode() for name in alpn]
        self._identity = identity
        self.context = self._build_context(identity)
        self.handshake_s = handshake_s
        self._on_handshake = on_handshake

    def wrap(self, factory: ProtocolFactory) -> Callable[[], asyncio.Protocol]:
        """A protocol factory for `create_server` that puts TLS under the protocols of `factory`."""
        return lambda: _TlsLayer(self, factory)

    def replace(self, identity: Identity) -> None:
        """Connections from now on see another certificate; those that are there stay. `ValueError` as above."""
        if identity != self._identity:
            self.context = self._build_context(identity)
            self._identity = identity

    def count(self, outcome: str) -> None:
        """A handshake has ended."""
        if self._on_handshake is not None:
            self._on_handshake(outcome)

    def _build_context(self, identity: Identity) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        try:
            first, *others = x509.load_pem_x509_certificates(identity.chain_pem)
            context.use_certificate(first)
            for certificate in others:
                context.add_extra_chain_cert(certificate)
            key = load_pem_private_key(identity.key_pem, None)
            if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey):
                raise ValueError("the key is of a kind that TLS does not use")
            context.use_privatekey(key)
            context.check_privatekey()
        except (SSL.Error, TypeError) as error:
            raise ValueError(f"certificate and key cannot be used: {error}") from error
        context.set_verify(SSL.VERIFY_PEER, _take_any)
        context.set_mode(_MODE_RELEASE_BUFFERS)
        # No tickets and no session cache: each connection shows its certificate.
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"roadstead")
        context.set_alpn_select_callback(self._select_protocol)
        return context

    def _select_protocol(self, _: SSL.Connection, offered: list[bytes]) -> Any:
        return next((name for name in offered if name in self._alpn), SSL.NO_OVERLAPPING_PROTOCOLS)


async def follow_files(server: TlsServer, chain: Path, key: Path, *, every_s: float = 10.0) -> None:
    """Serve a new certificate soon after the files change, until cancelled; one that is no good is logged and left."""
    while True:
        await asyncio.sleep(every_s)
        try:
            server.replace(await asyncio.to_thread(read_identity, chain, key))
        except (OSError, ValueError) as error:
            log.warning("the new TLS certificate cannot be used, the old one stays", file=str(chain), error=str(error))


def read_identity(chain: Path, key: Path) -> Identity:
    """Certificate chain and key from PEM files."""
    return Identity(chain.read_bytes(), key.read_bytes())


def _take_any(*_: object) -> bool:
    return True


class _TlsLayer(Layer):
    """One connection."""

    def __init__(self, server: TlsServer, factory: ProtocolFactory) -> None:
        super().__init__(factory, handshake_s=server.handshake_s)
        self._server = server
        self._context = server.context
        self._tls = SSL.Connection(self._context, None)
        self._tls.set_accept_state()
        self._is_established = False
        self._certificate: bytes | None = None

    def data_received(self, data: bytes) -> None:
        try:
            self._tls.bio_write(data)
            if not self._is_established:
                self._tls.do_handshake()
                self._establish()
            self._read()
        except SSL.WantReadError:
            self._flush()
        except SSL.Error:
            self._fail()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data or self._is_closing:
            return
        try:
            self._tls.sendall(data)
        except SSL.Error:
            self._fail()
        else:
            self._flush()

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._is_established:
            self._say_goodbye()
        self._below.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        match name:
            case "client_certificate":
                return self._certificate
            case "alpn":
                return self._tls.get_alpn_proto_negotiated().decode()
            case "sslcontext":
                return self._context
        return super().get_extra_info(name, default)

    def _establish(self) -> None:
        self._is_established = True
        certificate = self._tls.get_peer_certificate()
        if certificate is not None:
            self._certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        self._server.count("ok")
        self._flush()
        self.open()

    def _read(self) -> None:
        """Decrypt what is there and pass it up in one piece.

        What TLS itself may have to answer (a change of keys) leaves with the next write.
        """
        parts = []
        try:
            while True:
                parts.append(self._tls.recv(_RECORDS_BYTES))
        except SSL.WantReadError:
            self.pass_up(b"".join(parts))
        except SSL.ZeroReturnError:
            self.pass_up(b"".join(parts))
            self.close()

    def _flush(self) -> None:
        """What TLS wants to say goes down."""
        try:
            while True:
                data = self._tls.bio_read(_RECORDS_BYTES)
                self._below.write(data)
                if len(data) < _RECORDS_BYTES:
                    return
        except SSL.WantReadError:
            return

    def _say_goodbye(self) -> None:
        try:
            self._tls.shutdown()
        except SSL.Error:
            return
        self._flush()

    def _fail(self) -> None:
        """Not TLS, or a broken stream: the alert goes out and the connection ends."""
        if not self._is_established:
            self._server.count("failed")
        self._is_closing = True
        self.stop_timer()
        self._flush()
        self._below.close()

    def give_up(self) -> None:
        self._server.count("timeout")
        super().give_up()
