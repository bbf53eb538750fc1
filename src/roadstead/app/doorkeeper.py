"""Lets devices in: where the MQTT door, the core and the topics of the dialects meet."""

from collections.abc import Awaitable, Callable

from roadstead.app.losant_door import LosantDoor
from roadstead.core import provisioning
from roadstead.core.ports import Ports
from roadstead.core.provisioning import DeviceIdentity
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.dialects.lightelligence import topics as lightelligence
from roadstead.dialects.native import topics as native
from roadstead.gateways.mqtt.door import Admission, Hello, Rejection, TopicRules
from roadstead.gateways.mqtt.reasons import Reason
from roadstead.kernel import ids
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import DeviceId


class DatabaseDoorkeeper:
    """Knows devices by what the database says at this moment; nothing is cached, so nothing can be stale.

    A device comes in with its client certificate. Where there is none to show (plain MQTT, a proxy that ends TLS, a
    laptop) its id as user name and an API key of its organization with `readings:write` as password do; a password
    goes before a certificate. The client id of a native device is its id, or empty; others may choose it freely, even
    the same for many devices, because sessions belong to devices. A device of the Losant dialect comes with its id as
    client id, an access key as user name and the secret of that as password.
    """

    def __init__(self, database: Database, ports: Ports, losant: LosantDoor) -> None:
        self._database = database
        self._ports = ports
        self._losant = losant

    async def admit(self, hello: Hello) -> Admission | Rejection:
        """See `Doorkeeper.admit`."""
        try:
            async with self._database.tx() as tx:
                entry = Entry(tx, self._ports, address=_host_of(hello.address), request_id="")
                losant_device = _losant_device(hello)
                if losant_device is not None:
                    return await self._losant.admit(entry, losant_device, hello)
                device = await _identify(entry, hello)
                make_rules = _RULES.get(device.dialect)
                rules = await make_rules(entry, device) if make_rules is not None else None
        except Unauthenticated as error:
            reason = Reason.NOT_AUTHORIZED if hello.password is None else Reason.BAD_USER_NAME_OR_PASSWORD
            return Rejection(reason, str(error))
        except Forbidden as error:
            return Rejection(Reason.NOT_AUTHORIZED, str(error))
        if rules is None:
            return Rejection(Reason.NOT_AUTHORIZED, f"devices of the dialect '{device.dialect}' have no topics here")
        is_native = device.dialect == native.DIALECT
        if is_native and hello.client_id and hello.client_id.lower() != str(device.device_id):
            text = f"the client id must be the device id {device.device_id}, or empty"
            return Rejection(Reason.CLIENT_IDENTIFIER_NOT_VALID, text)
        return Admission(
            tenant=device.tenant_id,
            organization=device.organization_id,
            device=device.device_id,
            dialect=device.dialect,
            rules=rules,
            credential=device.key_id.bytes if device.key_id else b"",
            expires_at=device.expires_at,
        )


def _losant_device(hello: Hello) -> DeviceId | None:
    """The device of a client id of 24 hex digits, unless it shows an API key or a certificate."""
    if hello.password is None or hello.password.startswith(b"sk_"):
        return None
    id_ = ids.parse_hex24(hello.client_id)
    return None if id_ is None else DeviceId(id_)


async def _identify(entry: Entry, hello: Hello) -> DeviceIdentity:
    if hello.password is not None:
        # What is not UTF-8 is no key of ours; replacing it keeps it from being one.
        password = hello.password.decode(errors="replace")
        return await provisioning.admit_key(entry, hello.username or "", password)
    if hello.certificate is not None:
        return await provisioning.admit_certificate(entry, hello.certificate)
    raise Unauthenticated("show a client certificate, or the device id as user name and an API key as password")


def _host_of(address: str) -> str:
    """The host of `host:port`; those of IPv6 stand in brackets there."""
    return address.rpartition(":")[0].strip("[]")


async def _native_rules(_: Entry, device: DeviceIdentity) -> TopicRules:
    topics = native.topics_of(device.organization_id, device.device_id)
    publish = {topic: (native.DIALECT, channel) for topic, channel in topics.published.items()}
    answers = {topic: (native.DIALECT, channel) for topic, channel in topics.answered.items()}
    return TopicRules(publish=publish, answers=answers, hear=topics.heard)


async def _lightelligence_rules(entry: Entry, device: DeviceIdentity) -> TopicRules:
    connected = await provisioning.list_connected(entry, device)
    publish = {topic: (lightelligence.DIALECT, channel) for topic, channel in lightelligence.PUBLISHED.items()}
    return TopicRules(
        publish=publish, hear=lightelligence.heard_by([device.device_id, *connected]), drop_forbidden=True
    )


_RULES: dict[str, Callable[[Entry, DeviceIdentity], Awaitable[TopicRules]]] = {
    native.DIALECT: _native_rules,
    lightelligence.DIALECT: _lightelligence_rules,
}
