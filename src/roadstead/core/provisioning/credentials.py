"""Credentials of devices: listed, registered, revoked, and judged at the doors."""

import hashlib

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from roadstead.core import identity, registry
from roadstead.core.messages import SessionsRevoked
from roadstead.core.operation import operation, unguarded
from roadstead.core.provisioning import authority, store
from roadstead.core.provisioning.model import Credential, DeviceIdentity
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant
from roadstead.kernel.errors import Conflict, Forbidden, NotFound, Unauthenticated
from roadstead.kernel.ids import DeviceId, KeyId, new_id, parse_uuid
from roadstead.kernel.page import Page, PageQuery

DEVICE_GRANTS = frozenset({Grant.READINGS_WRITE, Grant.DEVICES_WRITE})
"""What a device may do, about itself alone (`Actor.speaks_for`)."""

_API_KEY = "sk_"
_MOST_CONNECTED = 1_000


class _CredentialAudit(msgspec.Struct, frozen=True):
    """What the audit log shows of certificates."""

    device_id: DeviceId
    fingerprints: list[str]
    reason: str | None = None


# --- for people and programs -----------------------------------------------------------------------------------------


@operation(Grant.DEVICES_READ)
async def list_credentials(work: Work, device_id: DeviceId, query: PageQuery) -> Page[Credential]:
    """Certificates of a device, newest first, those that are no longer good included."""
    await registry.load_device(work, device_id)
    return await store.select_credentials(work.tx, work.tenant_id, device_id, query)


@operation(Grant.CREDENTIALS_WRITE)
async def register_certificate(
    work: Work, device_id: DeviceId, certificate_pem: str, *, dialect: str = "native"
) -> Credential:
    """From now on whoever holds the key of this certificate is the device. Its issuer does not matter, its end does.

    Raises `Conflict` when the certificate is known already, here or in another organization.
    """
    await registry.load_device(work, device_id)
    certificate = authority.read_foreign_certificate(certificate_pem, work.now())
    credential = describe(work, device_id, certificate, dialect=dialect, issued_here=False)
    if not await store.insert_certificate(work.tx, work.tenant_id, credential):
        raise Conflict.taken("a credential", "certificate", credential.fingerprint.hex(), code="certificate-taken")
    work.record(
        "certificate.register", credential.id, after=_CredentialAudit(device_id, [credential.fingerprint.hex()])
    )
    return credential


@operation(Grant.CREDENTIALS_WRITE)
async def revoke_credentials(
    work: Work, device_id: DeviceId, *, serial_number: str | None = None, reason: str | None = None
) -> None:
    """Revoke one certificate of a device, or all of them; sessions that they opened are cut.

    Without a serial number every session of the device is cut, however it was opened.
    """
    await registry.load_device(work, device_id)
    serial = None if serial_number is None else serial_number.upper()
    if serial is not None and not await store.has_serial(work.tx, work.tenant_id, device_id, serial):
        raise NotFound("certificate", serial_number)
    fingerprints = await store.revoke_certificates(
        work.tx, work.tenant_id, device_id, serial_number=serial, at=work.now(), reason=reason
    )
    audit = _CredentialAudit(device_id, [fingerprint.hex() for fingerprint in fingerprints], reason)
    work.record("certificate.revoke", device_id, after=audit)
    why = "the certificate has been revoked" + (f": {reason}" if reason else "")
    if serial is None:
        work.emit(SessionsRevoked(device_id, None, why))
        return
    for fingerprint in fingerprints:
        work.emit(SessionsRevoked(device_id, fingerprint.hex(), why))


def describe(
    work: Work, device_id: DeviceId, certificate: x509.Certificate, *, dialect: str, issued_here: bool
) -> Credential:
    """A certificate as a fresh credential of a device."""
    return Credential(
        id=new_id(),
        device_id=device_id,
        dialect=dialect,
        fingerprint=authority.fingerprint_of(certificate),
        serial_number=authority.spell_serial(certificate),
        subject=certificate.subject.rfc4514_string(),
        issued_here=issued_here,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        created_at=work.now(),
        der=certificate.public_bytes(Encoding.DER),
    )


# --- for doors -------------------------------------------------------------------------------------------------------


@unguarded("the certificate is the credential")
async def admit_certificate(entry: Entry, certificate: bytes) -> DeviceIdentity:
    """Whose certificate (DER) this is. Whoever calls has proof that the caller holds its key.

    Raises `Unauthenticated` when it is unknown, revoked, superseded or has expired, `Forbidden` when the device or its
    organization may not work.
    """
    fingerprint = hashlib.sha256(certificate).digest()
    candidate = await store.select_by_fingerprint(entry.tx, fingerprint)
    if candidate is None:
        raise Unauthenticated(f"the certificate is not known here; its SHA-256 is {fingerprint.hex()}")
    return candidate.admit(time.now())


@unguarded("the API key is the credential")
async def admit_key(entry: Entry, device_id: str, api_key: str) -> DeviceIdentity:
    """The device of this id, because an API key of its organization with `readings:write` says so.

    For devices that cannot show a certificate: plain MQTT, or behind a proxy that ends TLS. Raises as
    `admit_certificate`.
    """
    if not api_key.startswith(_API_KEY):
        raise Unauthenticated("the password is not an API key (sk_...)")
    actor = await identity.authenticate(entry, api_key)
    if Grant.READINGS_WRITE not in actor.grants:
        raise Forbidden(f"the API key has no scope '{Grant.READINGS_WRITE}'", code="scope-missing")
    id_ = parse_uuid(device_id)
    candidate = id_ and await store.select_device(entry.tx, actor.tenant_id, DeviceId(id_))
    if not candidate:
        raise Unauthenticated("the user name is not the id of a device of the key's organization")
    return msgspec.structs.replace(candidate.admit(time.now()), key_id=KeyId(actor.id), expires_at=actor.expires_at)


@unguarded("whoever asks has just let the device in")
async def list_connected(entry: Entry, device: DeviceIdentity) -> list[DeviceId]:
    """The devices that this one connects and may be told things for; at most 1,000."""
    return await store.select_connected(entry.tx, device.tenant_id, device.device_id, most=_MOST_CONNECTED)


@unguarded("the certificate is the credential")
async def authenticate_certificate(entry: Entry, certificate: bytes) -> Actor:
    """The device as an actor that may work on itself alone. Raises as `admit_certificate`."""
    return as_actor(entry, await admit_certificate(entry, certificate))


def as_actor(entry: Entry, device: DeviceIdentity) -> Actor:
    """The device as an actor."""
    return Actor(
        kind=ActorKind.DEVICE,
        id=device.device_id,
        name=device.device_name,
        tenant_id=device.tenant_id,
        organization_id=device.organization_id,
        grants=DEVICE_GRANTS,
        request_id=entry.request_id,
        address=entry.address,
    )
