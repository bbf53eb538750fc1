"""What one device alone shall have, in line with the device type that shows what it is."""

from collections.abc import Mapping
from typing import Any

from roadstead.core import registry, types
from roadstead.core.configuration.own import get_own, set_own
from roadstead.core.operation import operation
from roadstead.core.types import Section
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId


@operation(Grant.CONFIG_WRITE)
async def merge_own(work: Work, device_id: DeviceId, patch: Mapping[str, Any] | None) -> dict[str, Any]:
    """A merge patch (RFC 7396) applied to what is set for a device itself: what comes of it, and is set from now on.

    None leaves nothing set. Raises `Invalid` with everything in which what comes of it breaks the type's schema.
    """
    before = await get_own(work, device_id)
    own = registry.merge(before, patch)
    if own == before:
        return own
    if patch is not None:
        await _check(work, device_id, own)
    await set_own(work, device_id, own)
    return own


@operation(Grant.CONFIG_READ)
async def check_own(work: Work, device_id: DeviceId) -> None:
    """Raises `Invalid` when what is set for a device breaks the schema of its type, which may be new to it."""
    own = await get_own(work, device_id)
    if own:
        await _check(work, device_id, own)


async def _check(work: Work, device_id: DeviceId, own: Mapping[str, Any]) -> None:
    device = await registry.load_device(work, device_id)
    type_ = await types.load_device_type(work, device.shown_type(work.actor.organization_id))
    problems = type_.compiled().problems(Section.CONFIGURATION, own)
    if problems:
        raise Invalid("; ".join(problems), fields=[FieldProblem("/configuration", "invalid", one) for one in problems])
