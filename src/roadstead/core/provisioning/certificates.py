"""Certificates that programs hand in and look after one by one: shown, withheld, let in again, deleted."""

from uuid import UUID

import msgspec
from cryptography import x509

from roadstead.core import registry
from roadstead.core.messages import SessionsRevoked
from roadstead.core.operation import operation
from roadstead.core.provisioning import authority, store
from roadstead.core.provisioning.credentials import describe
from roadstead.core.provisioning.model import Credential, CredentialStatus, Withheld
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import DeviceId

_WITHHELD = {CredentialStatus.EXPIRED: Withheld.EXPIRED, CredentialStatus.INACTIVE: Withheld.INACTIVE}


class _CertificateAudit(msgspec.Struct, frozen=True):
    """What the audit log shows of a certificate."""

    device_id: DeviceId
    fingerprint: str
    status: str


@operation(Grant.DEVICES_READ)
async def get_certificate(work: Work, device_id: DeviceId, id_: UUID) -> Credential:
    """One certificate of a device."""
    await registry.load_device(work, device_id)
    found = await store.select_credential(work.tx, work.tenant_id, device_id, id_)
    if found is None:
        raise NotFound("certificate", id_)
    return found


@operation(Grant.CREDENTIALS_WRITE)
async def assign_certificate(
    work: Work, device_id: DeviceId, certificate_pem: str, *, dialect: str, status: CredentialStatus
) -> Credential:
    """From now on whoever holds the key of this certificate is the device, if the status lets it.

    Neither its issuer nor its subject, its key or its dates matter: one that has expired is known, and kept out. Of
    several the first counts. Raises `Conflict` when it is known already, here or in another organization.
    """
    await registry.load_device(work, device_id)
    certificate = authority.read_any_certificate(certificate_pem)
    known = describe(work, device_id, certificate, dialect=dialect, issued_here=False)
    credential = _with_status(work, known, status)
    if not await store.insert_certificate(work.tx, work.tenant_id, credential):
        raise Conflict.taken("a credential", "certificate", credential.fingerprint.hex(), code="certificate-taken")
    work.record("certificate.register", credential.id, after=_audit(work, credential))
    return credential


@operation(Grant.CREDENTIALS_WRITE)
async def change_certificate(work: Work, device_id: DeviceId, id_: UUID, status: CredentialStatus) -> Credential:
    """Keep a certificate out, whose sessions are cut then, or let it in again.

    Raises `Invalid` for letting in what has expired, and for what was issued here and is revoked or superseded: that
    stands in a list of which nothing is taken back.
    """
    before = await _lock(work, device_id, id_)
    if status is before.status(work.now()):
        return before
    _check_change(work, before, status)
    after = _with_status(work, before, status)
    await store.update_credential(work.tx, work.tenant_id, after)
    work.record("certificate.change", id_, before=_audit(work, before), after=_audit(work, after))
    if after.status(work.now()) is not CredentialStatus.ACTIVE:
        _cut(work, after, f"the certificate is {after.status(work.now()).lower()}")
    return after


@operation(Grant.CREDENTIALS_WRITE)
async def delete_certificate(work: Work, device_id: DeviceId, id_: UUID) -> None:
    """Forget a certificate: its sessions are cut, and any device may have it from now on."""
    credential = await _lock(work, device_id, id_)
    await store.delete_credential(work.tx, work.tenant_id, id_)
    work.record("certificate.delete", id_, before=_audit(work, credential))
    _cut(work, credential, "the certificate has been deleted")


def spell_certificate(credential: Credential) -> str:
    """The certificate, PEM; empty when it came before it was kept."""
    if credential.der is None:
        return ""
    return authority.spell_pem(x509.load_der_x509_certificate(credential.der))


async def _lock(work: Work, device_id: DeviceId, id_: UUID) -> Credential:
    await registry.load_device(work, device_id)
    found = await store.lock_credential(work.tx, work.tenant_id, device_id, id_)
    if found is None:
        raise NotFound("certificate", id_)
    return found


def _check_change(work: Work, before: Credential, status: CredentialStatus) -> None:
    if status is CredentialStatus.ACTIVE and before.not_after <= work.now():
        raise Invalid.field("/status", "cannot be valid: the certificate has expired")
    stays = before.revoked_at is not None
    if status is CredentialStatus.ACTIVE and before.superseded_at is not None:
        stays = stays or before.superseded_at <= work.now()
    if before.issued_here and stays and status is not CredentialStatus.REVOKED:
        raise Invalid.field("/status", "stays as it is: the certificate was issued here and has been withdrawn")


def _with_status(work: Work, credential: Credential, status: CredentialStatus) -> Credential:
    is_revoked = status is CredentialStatus.REVOKED
    return msgspec.structs.replace(
        credential,
        revoked_at=(credential.revoked_at or work.now()) if is_revoked else None,
        revoke_reason=credential.revoke_reason if is_revoked else None,
        withheld=_WITHHELD.get(status),
    )


def _cut(work: Work, credential: Credential, reason: str) -> None:
    work.emit(SessionsRevoked(credential.device_id, credential.fingerprint.hex(), reason))


def _audit(work: Work, credential: Credential) -> _CertificateAudit:
    return _CertificateAudit(credential.device_id, credential.fingerprint.hex(), credential.status(work.now()))
