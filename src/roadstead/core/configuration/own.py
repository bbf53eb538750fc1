"""What one device alone shall have: one artefact, bound to the device itself, for programs that know no artefacts."""

from collections.abc import Mapping
from typing import Any

import msgspec

from roadstead.core import registry
from roadstead.core.configuration import artefact_store, binding_store
from roadstead.core.configuration.artefacts import create_artefact
from roadstead.core.configuration.bindings import bind
from roadstead.core.configuration.delivery import INLINE_BYTES
from roadstead.core.configuration.model import ArtefactDraft, BindingDraft, TargetType
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import DeviceId

OWN = "configuration"
"""What the artefacts are called. Devices that shall have the same share one."""


@operation(Grant.CONFIG_READ)
async def get_own(work: Work, device_id: DeviceId) -> dict[str, Any]:
    """What is set for this device itself; empty when nothing is, or no JSON object.

    What its groups and its profile bring it is not in it: see `get_desired_state`.
    """
    await registry.load_device(work, device_id)
    content = await binding_store.select_content_of(work.tx, TargetType.DEVICE, device_id, OWN)
    own = msgspec.json.decode(content) if content is not None else None
    return own if isinstance(own, dict) else {}


@operation(Grant.CONFIG_WRITE)
async def set_own(work: Work, device_id: DeviceId, content: Mapping[str, Any]) -> None:
    """Give a device this configuration in place of its own one; it is told soon. The same once more changes nothing.

    An empty one where there is none stays none; where there is one, the device is told that it is empty now. Raises
    `Invalid` for what JSON cannot spell, `TooLarge` above 64 KB.
    """
    if not content and await binding_store.select_content_of(work.tx, TargetType.DEVICE, device_id, OWN) is None:
        await registry.load_device(work, device_id)
        return
    made = await create_artefact(work, ArtefactDraft(name=OWN, content=dict(content)))
    if made.artefact.size_bytes > INLINE_BYTES:
        raise TooLarge(f"what a device is set to takes at most {INLINE_BYTES} bytes: it goes out in one piece")
    if made.is_new:
        await artefact_store.mark_own(work.tx, made.artefact.id)
    draft = BindingDraft(target_type=TargetType.DEVICE, target=str(device_id), artefact_id=made.artefact.id)
    await bind(work, draft, expected=None)


async def sweep_own(tx: Tx, *, most: int) -> int:
    """Delete artefacts that were made here and that no device of any tenant shall have any more; says how many."""
    return await artefact_store.delete_unused_own(tx, OWN, most)
