"""In which organizations whoever asks has something to say."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from roadstead.core.work import Account, Work
from roadstead.dialects.losant.edge import Caller, caller_of
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Forbidden, NotFound
from roadstead.kernel.ids import SpaceId, parse_hex24
from roadstead.web.edge import AnyRequest, Edge, hold


class Places:
    """The organizations of a person, the one used last first; or the only one of a key, a token or a program."""

    def __init__(self, edge: Edge, caller: Caller, asked: Account | Work) -> None:
        self.edge = edge
        self.caller = caller
        self.asked = asked
        """Sees the rows of all of them."""

    @property
    def only(self) -> list[SpaceId] | None:
        """The only applications that the credential opens; None: all."""
        return None if self.caller.space_id is None else [self.caller.space_id]

    def among(self, org_id: str | None) -> Sequence[Actor]:
        """All of them, or the one that is named. Raises `NotFound` for another's."""
        if org_id is None:
            return [each for each in self.caller.actors if each.tenant_id]
        id_ = parse_hex24(org_id)
        found = [each for each in self.caller.actors if each.tenant_id and each.organization_id == id_]
        if not found:
            raise NotFound("Organization")
        return found

    def first(self, org_id: str | None) -> Actor:
        """The one that is named, or the one used last. Raises `Forbidden` for somebody who is in none."""
        found = self.among(org_id)
        if not found:
            raise Forbidden("you are in no organization")
        return found[0]

    @asynccontextmanager
    async def work(self, actor: Actor) -> AsyncIterator[Work]:
        """Work in one of them, in a transaction of its own."""
        async with self.edge.tenant_database.tx(actor.tenant_id) as tx:
            yield Work(actor, tx, self.edge.ports)

    async def works(self) -> AsyncGenerator[Work]:
        """Work in each of them, one after the other."""
        for actor in self.among(None):
            async with self.work(actor) as work:
                yield work


async def provide_places(request: AnyRequest) -> AsyncIterator[Places]:
    """Where the caller of a request may look."""
    edge: Edge = request.app.state.edge
    caller = caller_of(request)
    actor = caller.actors[0]
    async with hold(request) as held:
        if len(caller.actors) == 1:
            tx = await held.enter_async_context(edge.tenant_database.tx(actor.tenant_id))
            yield Places(edge, caller, Work(actor, tx, edge.ports))
        else:
            tx = await held.enter_async_context(edge.system_database.tx())
            yield Places(edge, caller, Account(actor, tx, edge.ports))
