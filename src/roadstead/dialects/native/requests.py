"""What is asked of every request before its route: who calls, how often, and no parameter ignored."""

from litestar import Litestar
from litestar.routes import HTTPRoute

from roadstead.dialects.native.edge import admit
from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest, admit_stranger


def learn_routes(app: Litestar) -> None:
    """Remember for each route which parameters it and its dependencies take, and whether it asks who calls."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                handler.opt["parameters"] = frozenset(param.field_alias for param in model.expected_query_params)
                parameters = {*model.expected_query_params, *model.expected_header_params}
                handler.opt["spellings"] = {param.field_name: param.field_alias for param in parameters}
                dependencies = {dependency.key for batch in model.dependency_batches for dependency in batch}
                handler.opt["needs_actor"] = bool(dependencies & {"work", "account", "begin"})


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often, then whether the route knows every query parameter: none is ignored in silence."""
    known = request.route_handler.opt
    limits = request.app.state.edge.limits
    if known.get("needs_actor"):
        request.scope["auth"] = await admit(request)
    else:
        admit_stranger(request, limits.sign_ins if known.get("sign_in") else limits.strangers)
    if known.get("signed"):
        return
    for name in request.query_params:
        if name not in known.get("parameters", ()):
            raise Invalid.field(name, "is not a parameter of this operation", code="unknown-parameter", place="query")
