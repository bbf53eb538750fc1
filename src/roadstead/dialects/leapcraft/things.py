"""Things: what kinds of bus integration there are, and which payload slot carries which parameter."""

import msgspec
from litestar import get

from roadstead.core import types
from roadstead.core.types import ProfileQuery, SensorProfile
from roadstead.core.work import Work
from roadstead.dialects.leapcraft.parameters import ALL, read_number
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

_MOST = 1_000


class ParameterShape(msgspec.Struct, frozen=True):
    """`ThingParameter`."""

    name: str
    payload: str


class ThingShape(msgspec.Struct, frozen=True):
    """`Thing`."""

    name: str
    description: str | None
    parameters: list[ParameterShape]

    @classmethod
    def of(cls, profile: SensorProfile) -> "ThingShape":
        """From a sensor profile with slots."""
        slots = [(field.label or field.name, field.slot) for field in profile.fields]
        parameters = [ParameterShape(name, slot) for name, slot in slots if slot is not None]
        return cls(profile.key, profile.description, parameters)


@get("/", operation_id="things.list")
async def list_things(request: AnyRequest, work: Work) -> list[ThingShape]:
    """The newest version of each sensor profile whose fields lie in slots, by key."""
    limit = read_number(request, "limit", 10, least=1, most=_MOST, everything=True)
    things: list[ThingShape] = []
    cursor: str | None = None
    while True:
        wanted = _MOST if limit == ALL else limit - len(things)
        page = await types.list_sensor_profiles(
            work, ProfileQuery(slotted=True), sort="key", page=PageQuery(limit=wanted, cursor=cursor)
        )
        things += [ThingShape.of(profile) for profile in page.items]
        cursor = page.next_cursor
        if cursor is None or len(things) == limit:
            return things
