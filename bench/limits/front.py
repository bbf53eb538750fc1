"""The least an MQTT server can do: find each PUBLISH, check its topic, acknowledge. `python -m bench.limits.front`.

With certificate and key (PEM files) as arguments it speaks TLS as the standard library does and asks for a certificate.
"""

import asyncio
import ssl
import sys

import uvloop


class Front(asyncio.Protocol):
    """A connection. Whoever comes is let in; the first topic is the device's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._rest = b""
        self._topic = b""

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size, answers = 0, len(data), []
        while at + 4 <= size:
            first, length, start = data[at], data[at + 1], at + 2
            if length > 0x7F:
                length = length & 0x7F | data[at + 2] << 7
                start += 1
            end = start + length
            if end > size:
                break
            if first >> 4 == 3:
                topic_end = start + 2 + (data[start] << 8 | data[start + 1])
                topic = data[start + 2 : topic_end]
                self._topic = self._topic or topic
                if first & 2 and topic == self._topic:
                    answers.append(data[topic_end : topic_end + 2])
            elif first == 0x10:
                self._transport.write(b"\x20\x02\0\0")  # type: ignore[attr-defined]
            at = end
        self._rest = data[at:]
        if answers:
            self._transport.write(b"\x40\x02" + b"\x40\x02".join(answers))  # type: ignore[attr-defined]


async def run() -> None:
    """Print the port and serve until killed."""
    context = None
    if len(sys.argv) > 1:
        certificate, key, clients = sys.argv[1:]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
    server = await asyncio.get_running_loop().create_server(Front, "127.0.0.1", 0, backlog=4096, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run())
