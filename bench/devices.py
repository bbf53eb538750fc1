"""Setup, never measured: devices of one profile, made in bulk."""

import datetime
import uuid
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bench.load.messages import COMPONENT, FIELDS
from bench.load.plan import Device
from bench.platform import Platform
from roadstead.app import administer, administer_organization
from roadstead.core import identity, provisioning, registry, tenancy, types
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.dialects.native.topics import topics_of
from roadstead.kernel.ids import DeviceId, TenantId, new_id

_CHUNK = 2_000
_NEW_ID = "overlay(overlay(gen_random_uuid()::text PLACING '8' FROM 15) PLACING '8000-000' FROM 20)::uuid"
"""An id as `roadstead.kernel.ids` would make it, but for its time."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one organization."""

    tenant: TenantId
    devices: list[Device]
    key: str
    """An API key that they may sign in with."""

    def split(self, processes: int) -> list[list[Device]]:
        """Shared out, one part for each process of the generator, in order."""
        size = -(-len(self.devices) // processes)
        return [self.devices[start : start + size] for start in range(0, len(self.devices), size)]


class Tenant(msgspec.Struct, frozen=True):
    """An organization and a key for everything in it."""

    organization: tenancy.Organization
    key: str


async def found_tenant(platform: Platform, name: str) -> Tenant:
    """One more organization."""
    async with administer(platform.settings) as entry:
        organization = await tenancy.found_organization(entry, tenancy.OrganizationDraft(name=name))
        key = await identity.create_system_key(entry, organization, identity.KeyDraft(name="bench"))
    return Tenant(organization, key.secret)


async def make_fleet(platform: Platform, count: int, tenant: Tenant | None = None) -> Fleet:
    """So many devices, each with a component of five checked sensors, and one more: the first, made by the core's own
    operation, is what the others are copied from, row by row, in the database. Without `tenant` they are those of the
    first organization.
    """
    settings = platform.settings
    if tenant is None:
        async with administer(settings) as entry:
            first = await tenancy.load_organization_named(entry, platform.credentials["organizationId"])
        tenant = Tenant(first, platform.credentials["apiKey"])
    organization = tenant.organization
    async with administer_organization(settings, organization) as work:
        await _make_profiles(work)
        draft = registry.DeviceDraft(name="bench-template", profile="bench-station")
        template = await registry.create_device(work, draft)
    ids = [DeviceId(new_id()) for _ in range(count)]
    for start in range(0, count, _CHUNK):
        async with administer(settings) as entry:
            await _copy_device(entry.tx, organization.tenant_id, template.id, ids[start : start + _CHUNK], start + 1)
    devices = [Device(str(id_), topics_of(organization.public_id, id_).readings) for id_ in ids]
    return Fleet(tenant=organization.tenant_id, devices=devices, key=tenant.key)


async def register_devices(platform: Platform, count: int) -> Fleet:
    """So many devices of the first organization that have nothing but a name, an external id, a serial number, a tag
    and a status: copies, as in `make_fleet`.
    """
    settings = platform.settings
    async with administer(settings) as entry:
        organization = await tenancy.load_organization_named(entry, platform.credentials["organizationId"])
    async with administer_organization(settings, organization) as work:
        template = await registry.create_device(work, registry.DeviceDraft(name="bench-template"))
    own = {
        "id": "w.device", "name": "w.name", "ordinal": "1000000 + w.number", "external_id": "'ext-' || w.number",
        "serial_number": "'SN' || lpad(w.number::text, 8, '0')",
        "tags": "jsonb_build_object('line', (w.number %% 1000)::text)",
        "status": "CASE WHEN w.number %% 100 = 0 THEN 'MAINTENANCE' ELSE 'ACTIVE' END",
    }  # fmt: skip
    ids = [DeviceId(new_id()) for _ in range(count)]
    for start in range(0, count, _CHUNK):
        part = ids[start : start + _CHUNK]
        names = [f"bench-{start + number + 1:08}" for number in range(len(part))]
        async with administer(settings) as entry:
            await _copy_rows(
                entry.tx, "device", "JOIN wanted w ON true WHERE t.tenant_id = %s AND t.id = %s", own,
                part, names, start + 1, organization.tenant_id, template.id,
            )  # fmt: skip
    devices = [Device(str(id_), "") for id_ in ids]
    return Fleet(tenant=organization.tenant_id, devices=devices, key=platform.credentials["apiKey"])


async def _make_profiles(work: Work) -> None:
    fields = [
        types.ProfileField(name=name, value_type=types.ValueType.DOUBLE, min=-100, max=1000, required=True)
        for name in FIELDS
    ]
    version = types.Version(1, 0)
    await types.create_sensor_profile(
        work, types.SensorProfileDraft(key="bench-air", version=version, name="Air", fields=fields)
    )
    component = types.ComponentTemplate(key=COMPONENT, name="Air", sensor_profile="bench-air@1.0", required=True)
    await types.create_device_profile(
        work, types.DeviceProfileDraft(key="bench-station", version=version, name="Station", components=[component])
    )


# --- copies ----------------------------------------------------------------------------------------------------------


async def _copy_device(tx: Tx, tenant: TenantId, template: DeviceId, ids: Sequence[DeviceId], first: int) -> None:
    """Rows like those of the template for each id: the device, its components, its sensors."""
    names = [f"bench-{first + number:06}" for number in range(len(ids))]
    await _copy_rows(
        tx, "device", "JOIN wanted w ON true WHERE t.tenant_id = %s AND t.id = %s",
        {"id": "w.device", "name": "w.name", "ordinal": "1000000 + w.number"}, ids, names, first, tenant, template,
    )  # fmt: skip
    await _copy_rows(
        tx, "component", "JOIN wanted w ON true WHERE t.tenant_id = %s AND t.device_id = %s",
        {"id": _NEW_ID, "device_id": "w.device"}, ids, names, first, tenant, template,
    )  # fmt: skip
    home = """(
        SELECT n.id FROM component n JOIN component o USING (tenant_id, key)
        WHERE o.id = t.component_id AND n.device_id = w.device AND n.tenant_id = t.tenant_id
    )"""
    await _copy_rows(
        tx, "sensor", "JOIN wanted w ON true WHERE t.tenant_id = %s AND t.device_id = %s",
        {"id": _NEW_ID, "device_id": "w.device", "component_id": home}, ids, names, first, tenant, template,
    )  # fmt: skip


async def _copy_rows(
    tx: Tx,
    table: str,
    source: str,
    replaced: dict[str, str],
    ids: Sequence[DeviceId],
    names: Sequence[str],
    first: int,
    tenant: TenantId,
    template: DeviceId,
) -> None:
    columns = await _columns(tx, table)
    values = ", ".join(replaced.get(column, f"t.{column}") for column in columns)
    numbers = list(range(first, first + len(ids)))
    await tx.run(
        f"""
        WITH wanted AS (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::integer[]) AS w (device, name, number))
        INSERT INTO {table} ({", ".join(columns)}) SELECT {values} FROM {table} t {source}
        """,
        list(ids), list(names), numbers, tenant, template,
    )  # fmt: skip


async def _columns(tx: Tx, table: str) -> list[str]:
    """Those that can be written."""
    rows = await tx.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "AND attgenerated = '' AND attidentity = '' ORDER BY attnum",
        table,
    )
    return [name for (name,) in rows]


# --- certificates ----------------------------------------------------------------------------------------------------


class Certified(msgspec.Struct, frozen=True):
    """A fleet whose devices have certificates."""

    fleet: Fleet
    issuer: str
    """PEM of the authority that has signed them: not the platform's."""
    authority: str
    """PEM of whom devices trust: the platform's."""


async def certify(platform: Platform, fleet: Fleet) -> Certified:
    """Give each device a key and a certificate of its own, and register it with the platform."""
    settings = platform.settings
    issuer_key = ec.generate_private_key(ec.SECP256R1())
    issuer_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Roadstead benchmark")])
    issuer = _sign(issuer_name, issuer_name, issuer_key, issuer_key, is_authority=True)
    async with administer(settings) as entry:
        organization = await tenancy.load_organization_named(entry, platform.credentials["organizationId"])
        authority = await provisioning.get_authority_chain(entry)
    devices: list[Device] = []
    for start in range(0, len(fleet.devices), 500):
        part = fleet.devices[start : start + 500]
        made = [_certificate(device, issuer_name, issuer_key) for device in part]
        async with administer_organization(settings, organization) as work:
            for device, (certificate, key) in zip(part, made, strict=True):
                await provisioning.register_certificate(work, DeviceId(uuid.UUID(device.id)), certificate)
                devices.append(msgspec.structs.replace(device, certificate=certificate + key))
    pem = issuer.public_bytes(Encoding.PEM).decode()
    return Certified(msgspec.structs.replace(fleet, devices=devices), pem, authority)


def _certificate(device: Device, issuer: x509.Name, issuer_key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device.id)])
    certificate = _sign(name, issuer, key, issuer_key, is_authority=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


def sign_server(host: str) -> tuple[str, str]:
    """A self-signed certificate for a host name, and its key: PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = _sign(name, name, key, key, is_authority=True, host=host)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
    host: str = "",
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(issuer_key, SHA256())
