"""Our own certificate authorities: made at the first start, kept sealed, and what they sign beside devices."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from roadstead.core.operation import unguarded
from roadstead.core.ports import Vault
from roadstead.core.provisioning import authority, store
from roadstead.core.provisioning.authority import KeyPair
from roadstead.core.provisioning.store import AuthorityRow
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Invalid, Unavailable
from roadstead.kernel.ids import new_id

ROOT, INTERMEDIATE = "ROOT", "INTERMEDIATE"
_SEAL: Final = "ca-key"

_LAST_DAY = timedelta(days=1)
# The intermediate gets a later end in good time, so that what it signs is never cut short by its own.
_EXTEND_BEFORE = authority.DEVICE_LIFE + timedelta(days=60)


class Issuer(msgspec.Struct, frozen=True):
    """Who signs, with the certificates that lead from there to the root."""

    id: UUID
    pair: KeyPair
    chain: str
    """PEM: intermediate, then root."""


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """One of our own authorities, for whoever runs the platform."""

    kind: str
    """`ROOT` or `INTERMEDIATE`."""
    subject: str
    not_before: datetime
    not_after: datetime
    fingerprint: bytes
    """SHA-256 of the DER form."""
    has_key: bool
    """Whether its private key is kept here."""
    certificate: str
    """PEM."""


class ServerCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What one of our own TLS servers shows."""

    chain: bytes
    """PEM: the server's certificate, then the intermediate. The root is what clients have."""
    private_key: bytes
    """PEM, PKCS #8, not encrypted."""
    renew_at: datetime
    """From then on it is time for the next one."""


@unguarded("the platform starts")
async def ensure_authorities(entry: Entry) -> None:
    """Make what is missing and give the intermediate a later end in its last years, if the root's key is here.

    May be called at any time, by any number of processes.
    """
    now = time.now()
    known = await store.select_authorities(entry.tx)
    if INTERMEDIATE in known and not _ends_soon(known[INTERMEDIATE], now):
        return
    await store.lock_authorities(entry.tx)
    known = await store.select_authorities(entry.tx)
    if ROOT not in known:
        id_ = new_id()
        known[ROOT] = await _keep(entry, ROOT, id_, authority.make_root(id_, now), now)
    root = _open(known[ROOT], entry.ports.vault)
    old = known.get(INTERMEDIATE)
    if old is not None and not _ends_soon(old, now):
        return
    if root is None:
        if old is None:
            raise Unavailable("the root's key is kept elsewhere and there is no intermediate authority")
        return
    id_ = new_id()
    if old is None:
        made = authority.make_intermediate(root, id_, now)
    else:
        made = authority.extend_intermediate(root, _signing(old, entry.ports.vault), now)
        await store.retire_authority(entry.tx, old.id, at=now)
    await _keep(entry, INTERMEDIATE, id_, made, now)


async def load_issuer(entry: Entry) -> Issuer:
    """The authority that signs devices and servers now. Raises `Unavailable` when it has expired."""
    known = await store.select_authorities(entry.tx)
    if INTERMEDIATE not in known:
        await ensure_authorities(entry)
        known = await store.select_authorities(entry.tx)
    intermediate = known[INTERMEDIATE]
    if _end_of(intermediate) <= time.now():
        raise Unavailable("the certificate authority has expired; its root's key is needed to extend it")
    chain = intermediate.certificate + known[ROOT].certificate
    return Issuer(intermediate.id, _signing(intermediate, entry.ports.vault), chain)


@unguarded("what everyone may trust is public")
async def get_authority_chain(entry: Entry) -> str:
    """What clients trust: intermediate, then root, PEM."""
    return (await load_issuer(entry)).chain


@unguarded("a revocation list is public")
async def get_revocation_list(entry: Entry) -> bytes:
    """A list (RFC 5280, DER) of everything we have signed for devices and no longer accept, as of now.

    It is signed anew when that has changed, or when its last day begins.
    """
    now = time.now()
    issuer = await load_issuer(entry)
    # The mark is taken first: should something be revoked in between, the list has it and is soon replaced.
    mark = await store.select_revocation_mark(entry.tx, now=now)
    known = await store.select_revocation_list(entry.tx, issuer.id, mark=mark, at=now)
    if known is not None:
        return known
    listing = authority.sign_revocation_list(issuer.pair, await store.select_revocations(entry.tx, now=now), now)
    until = now + authority.REVOCATION_LIST_LIFE - _LAST_DAY
    await store.keep_revocation_list(entry.tx, issuer.id, listing, mark=mark, until=until)
    return listing


@unguarded("the platform's own servers ask")
async def issue_server_certificate(entry: Entry, hosts: Sequence[str]) -> ServerCertificate:
    """A fresh key with a certificate for these names and addresses, and for this machine itself."""
    issuer = await load_issuer(entry)
    made = authority.issue_server_certificate(
        issuer.pair, [*(host for host in hosts if host), "localhost", "127.0.0.1", "::1"], time.now()
    )
    chain = authority.spell_pem(made.certificate) + authority.spell_pem(issuer.pair.certificate)
    return ServerCertificate(
        chain=chain.encode(),
        private_key=made.key_pem(),
        renew_at=made.certificate.not_valid_after_utc - authority.SERVER_LIFE / 3,
    )


@unguarded("the operator of the machine asks")
async def take_root_offline(entry: Entry) -> str:
    """Hand out the root's private key (PEM) and forget it here. Everything goes on; new intermediates need it again.

    Raises `Conflict` when it is not here.
    """
    await ensure_authorities(entry)
    row = (await store.select_authorities(entry.tx))[ROOT]
    root = _open(row, entry.ports.vault)
    if root is None:
        raise Conflict("the root's key is not kept here", code="invalid-state")
    await store.update_private_key(entry.tx, row.id, None)
    return root.key_pem().decode()


@unguarded("the operator of the machine asks")
async def bring_root_back(entry: Entry, key_pem: str) -> None:
    """Keep the root's private key (PEM) here again, sealed. Then the intermediate can be extended again.

    Raises `Conflict` when it is here, `Invalid` for what is not the key of this root.
    """
    await store.lock_authorities(entry.tx)
    row = (await store.select_authorities(entry.tx)).get(ROOT)
    if row is None or row.private_key is not None:
        where = "there is no root yet" if row is None else "the root's key is kept here"
        raise Conflict(where, code="invalid-state")
    try:
        root = authority.read_key_pair(row.certificate, key_pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid.field("/key", "is not the private key of an authority in PEM form") from error
    if root.key.public_key() != root.certificate.public_key():
        raise Invalid.field("/key", "is the key of another authority")
    await store.update_private_key(entry.tx, row.id, entry.ports.vault.seal(root.key_pem(), _SEAL))


@unguarded("the operator of the machine asks")
async def list_authorities(entry: Entry) -> list[Authority]:
    """Those in use, the root first; none before the first start."""
    rows = await store.select_authorities(entry.tx)
    return [_describe(rows[kind]) for kind in (ROOT, INTERMEDIATE) if kind in rows]


def _describe(row: AuthorityRow) -> Authority:
    certificate = x509.load_pem_x509_certificate(row.certificate.encode())
    return Authority(
        kind=row.kind,
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=authority.fingerprint_of(certificate),
        has_key=row.private_key is not None,
        certificate=row.certificate,
    )


async def _keep(entry: Entry, kind: str, id_: UUID, pair: KeyPair, now: datetime) -> AuthorityRow:
    sealed = entry.ports.vault.seal(pair.key_pem(), _SEAL)
    row = AuthorityRow(id_, kind, authority.spell_pem(pair.certificate), sealed, now)
    await store.insert_authority(entry.tx, row)
    return row


def _open(row: AuthorityRow, vault: Vault) -> KeyPair | None:
    """The authority with its key, or None when the key is kept elsewhere."""
    if row.private_key is None:
        return None
    return authority.read_key_pair(row.certificate, vault.open(row.private_key, _SEAL))


def _signing(row: AuthorityRow, vault: Vault) -> KeyPair:
    pair = _open(row, vault)
    if pair is None:
        raise Unavailable("the key of the certificate authority is not here")
    return pair


def _ends_soon(row: AuthorityRow, now: datetime) -> bool:
    return _end_of(row) - now < _EXTEND_BEFORE


def _end_of(row: AuthorityRow) -> datetime:
    return x509.load_pem_x509_certificate(row.certificate.encode()).not_valid_after_utc
