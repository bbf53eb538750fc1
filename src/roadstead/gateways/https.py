"""The HTTP API over TLS, for devices that show who they are with a certificate.

The application finds the certificate in `scope["extensions"]["tls"]["client_cert_der"]` (DER, or None when the client
showed none). As on the MQTT port any certificate is taken: the application decides.
"""

import asyncio
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from roadstead.gateways.http import HttpServer
from roadstead.gateways.tls import TlsServer


class TlsHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 above a TLS layer."""

    _extensions: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class above
        super().connection_made(transport)
        self._extensions = {"tls": {"client_cert_der": transport.get_extra_info("client_certificate")}}

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions


class HttpsServer(HttpServer):
    """Serves an ASGI application on a TLS port, beside whatever else runs in the event loop.

    The application's lifespan is not its business: whoever serves it on the plain port starts and stops it.
    """

    def __init__(self, app: Any, tls: TlsServer) -> None:
        super().__init__(app, lifespan=False)
        self._server.config.load()

        def connect(
            config: uvicorn.Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> asyncio.Protocol:
            return tls.wrap(lambda: TlsHttpProtocol(config, server_state, app_state, _loop))()

        cast(Any, self._server.config).http_protocol_class = connect
