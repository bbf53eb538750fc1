"""How a device gets its certificate: for a token, and later for the certificate it has."""

from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core import registry
from roadstead.core.messages import SessionsRevoked
from roadstead.core.operation import unguarded
from roadstead.core.provisioning import authority, credentials, store, trust
from roadstead.core.provisioning.authority import DeviceKey
from roadstead.core.provisioning.model import OVERLAP, DeviceIdentity, Provisioned, TokenStatus, TokenText
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Forbidden, Gone, Unauthenticated

REVOCATION_LIST_PATH = "/api/v1/devices/provision/crl"
"""Where the list is served, below the public URL: it stands in every certificate."""


class _IssueAudit(msgspec.Struct, frozen=True):
    """What the audit log shows of a certificate that was issued."""

    serial_number: str
    fingerprint: str
    not_after: datetime
    registration_token: UUID | None = None


@unguarded("the token is the credential")
async def exchange_token(
    entry: Entry,
    token: str,
    signing_request: str,
    *,
    hardware_id: str | None = None,
    firmware_version: str | None = None,
) -> Provisioned:
    """A certificate for a token and a PKCS #10 request (PEM). Exactly one call with a token gets one.

    Certificates that the device got earlier are refused from now on. Raises `Unauthenticated` for what is no token,
    `Gone` for one that has been used or revoked or has expired, and `Invalid` for a bad request: then the token stays
    good.
    """
    text = TokenText.parse(token)
    held = text and await store.select_held_token(entry.tx, text.id)
    if not text or not held or held.device_id != text.device_id or not text.fits(held.secret_hash):
        raise Unauthenticated("this is not a registration token of ours")
    if held.status is not TokenStatus.PENDING:
        raise _gone(held.status)
    if held.organization_status != "ACTIVE":
        raise Forbidden(f"the organization is {held.organization_status.lower()}")
    key = authority.read_signing_request(signing_request)

    now = time.now()
    if not await store.use_token(entry.tx, held.tenant_id, text.id, at=now, address=entry.address):
        raise _gone(TokenStatus.USED)
    device = DeviceIdentity(
        tenant_id=held.tenant_id,
        organization_id=held.organization_id,
        device_id=held.device_id,
        device_name=held.device_name,
        dialect="native",
    )
    work = entry.as_actor(credentials.as_actor(entry, device))
    await registry.note_hardware(work, held.device_id, hardware_id=hardware_id, firmware_version=firmware_version)
    return await _issue(entry, work, device, key, supersede_at=now, token_id=text.id)


@unguarded("the certificate is the credential")
async def renew_certificate(entry: Entry, certificate: bytes, signing_request: str) -> Provisioned:
    """A new certificate for the holder of this one (DER), in the last 30 days of it.

    The old one stays good for a week, because the answer may be lost on its way. Raises `Unauthenticated` or
    `Forbidden` when it is not good (see `admit_certificate`), `Conflict` (`too-early`) before its last days.
    """
    device = await credentials.admit_certificate(entry, certificate)
    now = time.now()
    renewable_at = authority.read_end(certificate) - authority.RENEWAL_WINDOW
    if now < renewable_at:
        raise Conflict(f"this can be renewed from {time.spell_instant(renewable_at)} on", code="too-early")
    key = authority.read_signing_request(signing_request)
    work = entry.as_actor(credentials.as_actor(entry, device))
    return await _issue(entry, work, device, key, supersede_at=now + OVERLAP, token_id=None)


def _gone(status: TokenStatus) -> Gone:
    what = {TokenStatus.USED: "been used", TokenStatus.REVOKED: "been revoked"}.get(status, "expired")
    return Gone(f"the registration token has {what}")


async def _issue(
    entry: Entry,
    work: Work,
    device: DeviceIdentity,
    key: DeviceKey,
    *,
    supersede_at: datetime,
    token_id: UUID | None,
) -> Provisioned:
    issuer = await trust.load_issuer(entry)
    url = entry.ports.public_url
    certificate = authority.issue_device_certificate(
        issuer.pair,
        key,
        organization=device.organization_id,
        device=device.device_id,
        now=work.now(),
        revocation_url=url + REVOCATION_LIST_PATH if url else "",
    )
    credential = credentials.describe(work, device.device_id, certificate, dialect=device.dialect, issued_here=True)
    if not await store.insert_certificate(work.tx, work.tenant_id, credential):
        raise RuntimeError("a certificate with a fresh random serial number is known already")
    superseded = await store.supersede(work.tx, work.tenant_id, device.device_id, but=credential.id, at=supersede_at)
    if supersede_at <= work.now():
        for fingerprint in superseded:
            work.emit(SessionsRevoked(device.device_id, fingerprint.hex(), "the device got a new certificate"))
    work.record(
        "certificate.issue",
        credential.id,
        after=_IssueAudit(credential.serial_number, credential.fingerprint.hex(), credential.not_after, token_id),
    )
    return Provisioned(
        device_id=device.device_id,
        organization_id=device.organization_id,
        certificate=authority.spell_pem(certificate),
        authorities=issuer.chain,
        not_after=credential.not_after,
    )
