"""/whitelabels/domain: where the vendor's command line looks first (contract section 30)."""

from urllib.parse import urlsplit

from litestar import get

from roadstead.web.edge import AnyRequest, Edge


@get("/whitelabels/domain", operation_id="whitelabels.domain", opt={"token": "none"})
async def get_domain(request: AnyRequest) -> dict[str, str]:
    """Everything is under one origin here."""
    edge: Edge = request.app.state.edge
    return {"appUrl": edge.ports.public_url, "endpointDomain": urlsplit(edge.ports.public_url).netloc}


handlers = [get_domain]
