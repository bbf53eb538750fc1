"""Ports to listen on."""

import socket


def listen(host: str, port: int, *, backlog: int = 2_048, shared: bool = False) -> socket.socket:
    """A listening TCP socket (port 0: any free one). Raises `OSError` when the port is in use.

    `shared`: other processes may listen on the port as well; each gets its part of the connections.
    """
    family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listening = socket.create_server((host, port), family=family, backlog=backlog, reuse_port=shared)
    # Accepted connections inherit it, whatever the event loop: a small answer never waits for the caller's next word.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
