"""Where the dialect is found, as its callers see it."""

from urllib.parse import urlsplit

from roadstead.web.edge import MOUNTED_AT, AnyRequest, Edge

REALM_PATHS = ("/v1/id/auth/realms/olt", "/auth/realms/olt")
"""The path of the realm, and the one that clients use which leave out the beginning (contract section 2)."""


def base_url_of(request: AnyRequest) -> str:
    """What stands before `/v1` in URLs that lead back here: the prefix of the dialect, or a host name of its own."""
    edge: Edge = request.app.state.edge
    prefix = str(request.scope.get(MOUNTED_AT, ""))
    if prefix:
        return edge.ports.public_url + prefix
    return f"{urlsplit(edge.ports.public_url).scheme}://{request.headers.get('host', '')}"
