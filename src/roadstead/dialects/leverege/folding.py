"""How a request for an interface path comes to its route: see `paths.py`."""

from litestar.types import Scope

from roadstead.dialects.leverege.paths import Place, parse_place
from roadstead.web.edge import AnyRequest


def fold(scope: Scope) -> Scope:
    """The same request, for the route of the path's form. Other paths stay."""
    raw = scope.get("raw_path") or scope["path"].encode()
    place = parse_place(raw.partition(b"?")[0].decode("latin-1"), scope.get("query_string", b"").decode("latin-1"))
    if place is None:
        return scope
    state = {**scope.get("state", {}), "place": place}
    return {**scope, "path": place.form.value, "state": state}  # type: ignore[return-value]


def provide_place(request: AnyRequest) -> Place:
    """What the path of the request names; for routes whose path is a `Form`."""
    place: Place = request.scope["state"]["place"]
    return place
