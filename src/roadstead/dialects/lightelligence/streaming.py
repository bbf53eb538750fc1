"""/v1/devices/streaming-connections: addresses of live streams (contract section 17)."""

from datetime import datetime

import msgspec
from litestar import Router, post

from roadstead.core import streams
from roadstead.core.identity import Bearer, Permission
from roadstead.core.streams import Ticket
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.places import base_url_of
from roadstead.dialects.lightelligence.streaming_bodies import Kind, name_buffer, read_connection
from roadstead.dialects.lightelligence.streaming_ws import open_stream, refuse_stream, refuse_stream_deprecated
from roadstead.kernel.errors import TooLarge
from roadstead.web.edge import AnyRequest, credential_of

_MOST_BYTES = 65_536


class ConnectionShape(msgspec.Struct, rename="camel"):
    """`StreamingConnectionResponse`."""

    url: str
    valid_until: datetime


@post(
    "/",
    operation_id="requestStream",
    status_code=200,
    opt={"service": Service.STREAMING, "permissions": [Permission.DEVICES_STREAMING_READ]},
)
async def request_stream(request: AnyRequest, work: Work, bearer: Bearer) -> Data[ConnectionShape]:
    """A URL that opens the stream once, within 15 seconds. It ends when the token that asked for it is over."""
    given = await read_json(request)
    kept = msgspec.json.encode(given)
    if len(kept) > _MOST_BYTES:
        raise TooLarge(f"a request for a stream may have {_MOST_BYTES} bytes")
    body = read_connection(given)
    body.check(work.now())
    await streams.open_reports(work, body.wish())
    credential = credential_of(request) or ""
    buffer = name_buffer(bearer.client_id, body) if body.type is Kind.BUFFERED else None
    ticket = await streams.issue_ticket(work, Ticket(credential, msgspec.Raw(kept), buffer))
    base = base_url_of(request).replace("http", "ws", 1)
    url = f"{base}/v1/devices/streaming-connections/{ticket.token}/ws/{body.type}"
    return Data(ConnectionShape(url, ticket.valid_until))


router = Router(
    "/v1/devices/streaming-connections",
    route_handlers=[request_stream, open_stream, refuse_stream, refuse_stream_deprecated],
)
