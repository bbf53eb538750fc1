"""Single installations, as the Lightelligence dialect has them: a type allows a firmware in a slot, a device gets it.

The device is told over its connection, again in each session until it says that it has begun.
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from roadstead.core import registry, types
from roadstead.core.downlinks import FIRMWARE, Downlink, Hearer
from roadstead.core.firmware import installation_store as store
from roadstead.core.firmware.artifacts import digest, load_firmware, new_secret
from roadstead.core.firmware.model import FirmwareId, Token
from roadstead.core.firmware.record_model import (
    Association,
    AssociationId,
    Installation,
    InstallationId,
    InstallationOrder,
    InstallationReport,
)
from roadstead.core.firmware.store import insert_token
from roadstead.core.messages import DownlinkQueued
from roadstead.core.operation import operation
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import NOBODY, Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import DeviceId, TypeId, new_id

_URL_LIFE = timedelta(days=7)
_URL_USES = 5
_LINK_LIFE = timedelta(minutes=15)


# --- what a type allows ----------------------------------------------------------------------------------------------


@operation(Grant.PROFILES_WRITE)
async def associate_firmware(work: Work, type_id: TypeId, slot: str, firmware_id: FirmwareId) -> Association:
    """Devices of the type may get this firmware into this slot. `Conflict` when they may already."""
    await _check_slot(work, type_id, slot)
    try:
        await load_firmware(work, firmware_id)
    except NotFound as error:
        raise Invalid.field("/firmwareId", "there is no firmware of this id with content") from error
    made = Association(id=AssociationId(new_id()), type_id=type_id, slot=slot, firmware_id=firmware_id)
    if not await store.insert_association(work.tx, made, work.now()):
        raise Conflict("the firmware is associated with this slot already")
    work.record("device-type.associate-firmware", type_id, after=made)
    return made


@operation(Grant.PROFILES_READ)
async def list_associations(work: Work, type_id: TypeId, slot: str) -> list[Association]:
    """What devices of the type may get into this slot."""
    await _check_slot(work, type_id, slot)
    return await store.select_associations(work.tx, type_id, slot)


@operation(Grant.PROFILES_WRITE)
async def remove_association(work: Work, type_id: TypeId, slot: str, association_id: AssociationId) -> None:
    """They may not any more; what has been asked for goes on."""
    await _check_slot(work, type_id, slot)
    if not await store.delete_association(work.tx, type_id, slot, association_id):
        raise NotFound("association", association_id)
    work.record("device-type.remove-firmware", type_id)


async def _check_slot(work: Work, type_id: TypeId, slot: str) -> None:
    type_ = await types.load_device_type(work, type_id)
    if slot not in type_.slots:
        raise NotFound("slot", slot)


# --- what a device gets ----------------------------------------------------------------------------------------------


@operation(Grant.FIRMWARE_WRITE)
async def request_installation(work: Work, device_id: DeviceId, firmware_id: FirmwareId, slot: str) -> Installation:
    """A device shall have this firmware in this slot. `Invalid` when its type does not allow that."""
    device = await registry.load_device(work, device_id)
    if device.type_id is None or not await store.is_associated(work.tx, device.type_id, slot, firmware_id):
        raise Invalid("firmwareId: this firmware is not associated with this slot of the device's type")
    made = Installation(
        id=InstallationId(new_id()), device_id=device_id, firmware_id=firmware_id, slot=slot, requested_at=work.now()
    )
    await store.insert_installation(work.tx, made)
    work.emit(DownlinkQueued(FIRMWARE, [device_id]))
    work.record("firmware.install", firmware_id, after=made)
    return made


@operation(Grant.FIRMWARE_READ)
async def list_installations(work: Work, device_id: DeviceId, *, latest_only: bool) -> list[Installation]:
    """Those of a device, newest first; `latest_only`: the newest of each slot that was completed."""
    await registry.load_device(work, device_id)
    return await store.select_installations(work.tx, device_id, latest_only=latest_only)


@operation(Grant.FIRMWARE_READ)
async def get_installation(work: Work, device_id: DeviceId, installation_id: InstallationId) -> Installation:
    """One installation of a device."""
    found = await store.select_installation(work.tx, device_id, installation_id)
    if found is None:
        raise NotFound("installation", installation_id)
    return found


@operation(Grant.FIRMWARE_WRITE)
async def report_installation(
    work: Work, device_id: DeviceId, installation_id: InstallationId, report: InstallationReport
) -> Installation:
    """How it goes on. One that is over stays as it is: `Conflict`. What is completed is what the device runs."""
    report.check()
    before = await store.select_installation(work.tx, device_id, installation_id, lock=True)
    if before is None:
        raise NotFound("installation", installation_id)
    if before.completed_at is not None or before.rejected_at is not None:
        raise Conflict("the installation is over", code="invalid-state")
    told = {name: value for name, value in msgspec.structs.asdict(report).items() if value is not None}
    after = msgspec.structs.replace(before, **told)
    await store.update_installation(work.tx, after)
    if after.completed_at is not None:
        await store.note_release(work.tx, after)
    work.record("firmware.report-installation", after.firmware_id, before=before, after=after)
    return after


@operation(Grant.FIRMWARE_READ)
async def create_link(work: Work, firmware_id: FirmwareId) -> str:
    """A URL under which anybody fetches the content, once and soon. `NotFound` without content."""
    firmware = await load_firmware(work, firmware_id)
    if firmware.uploaded_at is None:
        raise NotFound("firmware", firmware_id)
    secret, now = new_secret(), work.now()
    token = Token(
        id=new_id(),
        tenant_id=work.tenant_id,
        organization_id=work.actor.organization_id,
        firmware_id=firmware_id,
        device_id=None,
        rollout_id=None,
        bytes_left=firmware.size_bytes,
        expires_at=now + _LINK_LIFE,
    )
    await insert_token(work.tx, digest(secret), token, created_by=work.actor.id, created_at=now)
    return _url(work.ports, secret)


def _url(ports: Ports, secret: str) -> str:
    return f"{ports.public_url}/api/v1/firmware/download/{secret}"


class FirmwareSource:
    """`downlinks.Source` of installations."""

    kind = FIRMWARE

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """Those that have not begun and that this session was not told of."""
        downlinks = []
        for claimed in await store.claim_waiting(tx, hearers, most):
            secret = new_secret()
            installation, now = claimed.installation, time.now()
            await store.insert_device_token(
                tx, claimed, digest(secret), uses=_URL_USES, created_at=now, expires_at=now + _URL_LIFE, by=NOBODY
            )
            order = InstallationOrder(
                installation=installation,
                name=claimed.name,
                label=claimed.label,
                size_bytes=claimed.size_bytes,
                sha256=claimed.sha256,
                download_url=_url(self._ports, secret),
            )
            downlinks.append(Downlink(claimed.tenant_id, installation.device_id, FIRMWARE, installation.id, order))
        return downlinks

    async def note_arrived(self, tx: Tx, downlinks: Sequence[Downlink]) -> None:
        """Nothing: it is told again in the next session, until the device has said something."""
