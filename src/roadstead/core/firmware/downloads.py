"""How the content of a firmware gets to devices: by tokens that live for a short time and are good for a few times.

A token is good for so many times the size of the firmware, in whatever pieces. What is asked for is taken off before
the first byte leaves; what has not left when the connection ends is given back. So a device on a bad line that goes on
where it was cut off spends what it gets, and a crash in between costs the token a part of what it was good for.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec

from roadstead.core import registry
from roadstead.core.firmware import rollout_store, store
from roadstead.core.firmware.artifacts import digest, load_firmware, new_secret
from roadstead.core.firmware.content import read_parts
from roadstead.core.firmware.model import DownloadGrant, Firmware, FirmwareId, Part, RolloutId, Token
from roadstead.core.operation import operation
from roadstead.core.ports import Blobs
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Gone, Invalid, NotFound
from roadstead.kernel.ids import DeviceId, new_id

MOST_USES = 100


class _TokenAudit(msgspec.Struct, frozen=True):
    """What the audit log shows of a token."""

    device_id: DeviceId
    uses: int
    expires_at: str


@operation(Grant.FIRMWARE_WRITE)
async def grant_download(
    work: Work, firmware_id: FirmwareId, device_id: DeviceId, *, life: timedelta, uses: int
) -> DownloadGrant:
    """A token with which one device can fetch one firmware. Raises `Conflict` while the firmware is a DRAFT."""
    firmware = await load_firmware(work, firmware_id)
    if firmware.uploaded_at is None or firmware.status == "DRAFT":
        raise Conflict("it has not been published", code="invalid-state")
    try:
        await registry.load_device(work, device_id)
    except NotFound as error:
        raise Invalid.field("/deviceId", "there is none of this id") from error
    grant = await mint_token(work, firmware, device_id, life=life, uses=uses)
    work.record("firmware.grant-download", firmware_id, after=_TokenAudit(device_id, uses, str(grant.expires_at)))
    return grant


async def mint_token(
    work: Work,
    firmware: Firmware,
    device_id: DeviceId,
    *,
    life: timedelta,
    uses: int,
    rollout_id: RolloutId | None = None,
) -> DownloadGrant:
    """The same without asking for rights. One for a rollout is worth nothing once the device has done its part."""
    secret, now = new_secret(), work.now()
    token = Token(
        id=new_id(),
        tenant_id=work.tenant_id,
        organization_id=work.actor.organization_id,
        firmware_id=firmware.id,
        device_id=device_id,
        rollout_id=rollout_id,
        bytes_left=uses * firmware.size_bytes,
        expires_at=now + life,
    )
    await store.insert_token(work.tx, digest(secret), token, created_by=work.actor.id, created_at=now)
    return DownloadGrant(
        token=secret, firmware_id=firmware.id, device_id=device_id, uses=uses, expires_at=token.expires_at
    )


def download_url(work: Work, grant: DownloadGrant) -> str:
    """Where its holder fetches the content."""
    return f"{work.ports.public_url}/api/v1/firmware/download/{grant.token}"


class Download(msgspec.Struct, frozen=True):
    """Something that may be fetched now."""

    secret: str
    token: Token
    firmware: Firmware
    parts: list[Part]


class Downloads:
    """Gives contents out. Each step is a transaction of its own: a download may last hours."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        """`database` has the system duty: a token says whose firmware it is."""
        self._database = database
        self._blobs = blobs

    async def find(self, secret: str) -> Download:
        """What this secret is for. Raises `NotFound` when there is no such token, and `Gone` when it is over."""
        async with self._database.tx() as tx:
            token = await store.select_token(tx, digest(secret))
            if token is None or token.brings:
                raise NotFound("download")
            tx.tenant = token.tenant_id
            if token.expires_at <= time.now():
                raise Gone("this token has expired")
            if (
                token.rollout_id
                and token.device_id
                and not await rollout_store.is_open(tx, token.rollout_id, token.device_id)
            ):
                raise Gone("the rollout is over for this device")
            firmware = await store.select_firmware(tx, token.firmware_id)
            if firmware is None:
                raise NotFound("download")
            return Download(secret, token, firmware, await store.select_parts(tx, firmware.id, firmware.upload_run))

    async def begin(self, download: Download, start: int, end: int) -> None:
        """Take bytes `start` to before `end` off the token. Raises `Gone` when it is not good for so many any more."""
        token = download.token
        async with self._database.tx(token.tenant_id) as tx:
            if not await store.spend_bytes(tx, digest(download.secret), end - start):
                raise Gone("this token is used up")
            if token.rollout_id is not None and token.device_id is not None:
                await rollout_store.note_begun(tx, token.rollout_id, token.device_id, time.now())

    async def read(self, download: Download, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes, in pieces of a few MB. After `begin`, and with `finish` in the end."""
        async for piece in read_parts(self._blobs, download.parts, start, end):
            yield piece

    async def finish(self, download: Download, *, sent_to: int, end: int) -> None:
        """Bytes from `sent_to` to before `end` have not left: they are given back."""
        token = download.token
        async with self._database.tx(token.tenant_id) as tx:
            if sent_to < end:
                await store.spend_bytes(tx, digest(download.secret), sent_to - end)
            elif sent_to == download.firmware.size_bytes and token.rollout_id and token.device_id:
                await rollout_store.note_fetched(tx, token.rollout_id, token.device_id, time.now())
