"""Decides about everything devices report: what is taken, as which path and type, and what is refused and why."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from roadstead.core.messages import (
    REFUSED,
    REMOVAL,
    SESSION,
    Accepted,
    Reading,
    RefusalNotice,
    Removal,
    Uplink,
    Value,
    encode_removal,
)
from roadstead.core.ports import Blobs, Codec, Decoded, Document, Refusal, RefusalReason, Reported
from roadstead.core.telemetry.catalog import DeviceCatalog
from roadstead.core.telemetry.documents import MOST_AHEAD_MS, Checked, Sent, check_document
from roadstead.core.telemetry.fitting import Fitted, fit_message
from roadstead.core.telemetry.forwarding import forwarded_documents
from roadstead.core.telemetry.refused import spell_item
from roadstead.core.telemetry.rules import (
    MOST_SENSORS,
    Component,
    Described,
    ListField,
    NewSensor,
    Refused,
    Rule,
)
from roadstead.core.telemetry.shapes import Shapes
from roadstead.core.types import ValueType
from roadstead.kernel.ids import TenantId

log = structlog.get_logger()

REPLAY = "REPLAY"
"""The source of an uplink that was taken out of quarantine."""

_MOST_META_BYTES = 10_240
_BREATH = 500

_notice = msgspec.msgpack.Decoder(RefusalNotice).decode

Parts = Sequence[tuple[str, Value]]
_Wanted = dict[bytes, dict[str, tuple[TenantId, bytes, NewSensor, Rule]]]
"""Sensors to make, by device and path."""


class Taken(msgspec.Struct):
    """What became of some uplinks."""

    accepted: list[Accepted]
    """One for each uplink, in order; without readings when all of them were refused."""
    refused: list[tuple[int, Refusal]]
    """Which uplink, and what of it was refused."""
    senders: list[tuple[int, Accepted]] = []
    """Which uplinks were about another device than their sender's, and a message of nothing for that one: it lives."""
    events: list[tuple[int, bytes, Document]] = []
    """Which uplinks told of an event, of which device (the 12 bytes of its id), and what."""
    forwarded: list[tuple[int, Accepted]] = []
    """What of which uplinks is stored with the parents of the devices as well."""


class Intake:
    """Decodes uplinks with their dialect's codec and checks every value against what is known of its device."""

    def __init__(
        self,
        catalog: DeviceCatalog,
        codecs: Mapping[str, Codec],
        *,
        blobs: Blobs | None = None,
        strict_gateways: bool = False,
    ) -> None:
        """`blobs`: where files go that come as values; without it they are refused.

        `strict_gateways`: a device speaks for another one only if it connects it, not for all of its tenant.
        """
        self._catalog = catalog
        self._codecs = codecs
        self._shapes = Shapes()
        self._blobs = blobs
        self._strict_gateways = strict_gateways

    async def take_in(self, uplinks: Sequence[Uplink]) -> Taken:
        """Check all of these. Sensors that are new and may come into being are there afterwards.

        Nothing a device sent makes it raise; `Unavailable` when the database, or the store of files, is needed and
        away.
        """
        described = await self._catalog.learn({uplink.device: uplink.tenant for uplink in uplinks})
        accepted: list[Accepted | None] = []
        refused: list[tuple[int, Refusal]] = []
        later: list[tuple[int, _Message]] = []
        documents: list[Sent] = []
        wanted: _Wanted = {}
        for index, uplink in enumerate(uplinks):
            if index % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            if uplink.dialect == SESSION:
                # Nobody decodes what the doors say: it passes as it is, but for what they have refused.
                refusal = _read_refusal(uplink) if uplink.channel == REFUSED else None
                refused += [(index, refusal)] if refusal else []
                accepted.append(_accept(uplink, [], payload=b"" if refusal else uplink.payload))
                continue
            known = described.get(uplink.device)
            plain = self._take_plain(uplink, known)
            if plain is not None:
                accepted.append(plain)
                continue
            decoded = self._decode(uplink, known)
            if decoded.document is not None:
                accepted.append(None)
                documents.append(Sent(index, uplink, decoded.document))
                continue
            if known is not None and self._is_lenient(uplink):
                fitted = await self._fit(uplink, known, decoded)
                accepted.append(_accept(uplink, fitted.readings))
                refused += [(index, refusal) for refusal in fitted.refused]
                continue
            message = _Message(uplink, known, decoded)
            message.check()
            if message.new:
                accepted.append(None)
                later.append((index, message))
                _merge(wanted, message)
            else:
                accepted.append(message.accepted())
                refused += [(index, refusal) for refusal in message.refused]
        if later:
            refused += await self._take_later(later, wanted, accepted)
        taken = Taken([], refused)
        if documents:
            await self._take_documents(documents, accepted, taken)
        taken.accepted = [item for item in accepted if item is not None]
        if self._catalog.forwarding:
            await self._forward(uplinks, taken)
        return taken

    async def _take_later(
        self, later: Sequence[tuple[int, "_Message"]], wanted: _Wanted, accepted: list[Accepted | None]
    ) -> list[tuple[int, Refusal]]:
        """Make the sensors that these need, and check them again; what is refused of them."""
        new = [sensor for sensors in wanted.values() for sensor in sensors.values()]
        if new:
            await self._catalog.create(new)
        described = await self._catalog.learn({one.uplink.device: one.uplink.tenant for _, one in later})
        refused: list[tuple[int, Refusal]] = []
        for index, message in later:
            again = _Message(message.uplink, described.get(message.uplink.device), message.decoded, creates=False)
            again.check()
            accepted[index] = again.accepted()
            refused += [(index, refusal) for refusal in again.refused]
        return refused

    async def _forward(self, uplinks: Sequence[Uplink], taken: Taken) -> None:
        """Give what devices have reported to those who shall have it, too, and to those above them, each once."""
        origins: list[int] = []
        documents: list[Sent] = []
        for index, message in enumerate(taken.accepted):
            if message.device not in self._catalog.forwarding:
                continue
            known, above = await self._find_above(message)
            for said in forwarded_documents(message, known) if known is not None and above else ():
                for parent in above:
                    uplink = msgspec.structs.replace(uplinks[index], device=parent)
                    documents.append(Sent(len(origins), uplink, said))
                    origins.append(index)
        if not documents:
            return
        accepted: list[Accepted | None] = [None] * len(documents)
        theirs = Taken([], [])
        await self._take_documents(documents, accepted, theirs)
        taken.forwarded = [(origin, one) for origin, one in zip(origins, accepted, strict=True) if one is not None]
        for place, refusal in theirs.refused:
            owned = msgspec.structs.replace(refusal, device=documents[place].uplink.device)
            taken.refused.append((origins[place], owned))

    async def _find_above(self, message: Accepted) -> tuple[Described | None, Sequence[bytes]]:
        """What is known of the device of a message, and all above it."""
        described = await self._catalog.learn({message.device: message.tenant})
        found = dict.fromkeys([message.device])
        reached = [message.device]
        while reached:
            above = [parent for one in reached if one in described for parent in described[one].parents]
            reached = [parent for parent in dict.fromkeys(above) if parent not in found]
            found |= dict.fromkeys(reached)
            if reached:
                described = await self._catalog.learn(dict.fromkeys([*found], message.tenant))
        return described.get(message.device), list(found)[1:]

    async def _take_documents(self, documents: Sequence[Sent], accepted: list[Accepted | None], taken: Taken) -> None:
        """Check these, each as a whole, for the devices they are about."""
        checked = await self._check_documents(documents, creates=True)
        new = {
            (one.device, sensor.path): (sent.uplink.tenant, one.device, sensor, rule)
            for sent, one in zip(documents, checked, strict=True)
            for sensor, rule in one.new
        }
        if new:
            await self._catalog.create(list(new.values()))
            checked = await self._check_documents(documents, creates=False)
        for sent, one in zip(documents, checked, strict=True):
            uplink = sent.uplink
            taken.refused += [(sent.index, refusal) for refusal in one.refused]
            if one.is_event:
                taken.events.append((sent.index, one.device, sent.document))
            accepted[sent.index] = accept_document(sent, one)
            if one.device != uplink.device:
                taken.senders.append((sent.index, _accept(uplink, [])))

    async def _check_documents(self, documents: Sequence[Sent], *, creates: bool) -> list[Checked]:
        names = {(sent.uplink.tenant, sent.document.about) for sent in documents}
        targets = await self._catalog.resolve([(tenant, name) for tenant, name in names if name is not None])
        senders = await self._catalog.learn({sent.uplink.device: sent.uplink.tenant for sent in documents})
        checked = []
        for number, sent in enumerate(documents):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            uplink, about = sent.uplink, sent.document.about
            sender = senders.get(uplink.device)
            if about is not None:
                target = targets.get((uplink.tenant, about))
            else:
                target = (uplink.device, sender) if sender is not None and sender.tenant == uplink.tenant else None
            try:
                checked.append(check_document(sent, target, strict=self._strict_gateways, creates=creates))
            except Exception as error:
                checked.append(Checked(uplink.device, refused=_fault(uplink, error).refused))
        return checked

    def _take_plain(self, uplink: Uplink, known: Described | None) -> Accepted | None:
        """What nearly all messages are: known sensors, right types, within bounds, at a fair time, no metadata.

        None when this one is not, or may not be. It decides as `_Message` does, only quicker.
        """
        codec = self._codecs.get(uplink.dialect)
        if codec is None or known is None or known.tenant != uplink.tenant:
            return None
        try:
            glance = codec.glance(uplink)
        except Exception as error:
            _tell_fault(uplink, error)
            return None
        if glance is None:
            return None
        form, at, values = glance
        shape = self._shapes.find(known, form, named=codec.is_lenient)
        if shape is None:
            if dict not in map(type, values):
                return None
            # An object: what it looks like is told by what is in it.
            parts = zip(form, values, strict=True)
            shape = self._shapes.find(
                known, tuple([(ref, *value) if type(value) is dict else ref for ref, value in parts])
            )
            if shape is None:
                return None
            values, at = shape.flatten(values, at)
        fitting = shape.fit(values)
        earliest, newest = (at, at) if isinstance(at, int) else (min(at), max(at))
        if fitting is None or earliest < 0:
            return None
        if newest > uplink.received + MOST_AHEAD_MS and not codec.is_lenient:
            return None
        return Accepted(
            uplink.tenant,
            uplink.device,
            uplink.dialect,
            uplink.channel,
            uplink.received,
            shape.paths,
            at,
            fitting,
            replayed=uplink.source == REPLAY,
            source=_source(uplink),
            size_bytes=len(uplink.payload),
        )

    def _is_lenient(self, uplink: Uplink) -> bool:
        codec = self._codecs.get(uplink.dialect)
        return codec is not None and codec.is_lenient

    async def _fit(self, uplink: Uplink, known: Described, decoded: Decoded) -> Fitted:
        """What is left of a message that names attributes; the files it has brought are stored."""
        try:
            fitted = fit_message(uplink, known, decoded, keeps_files=self._blobs is not None)
        except Exception as error:
            return Fitted([], _fault(uplink, error).refused, {})
        for key, content in fitted.files.items():
            if self._blobs is not None:
                await self._blobs.put(key, content)
        return fitted

    def _decode(self, uplink: Uplink, known: Described | None) -> Decoded:
        codec = self._codecs.get(uplink.dialect)
        if codec is None:
            return _refuse_all(uplink, RefusalReason.MALFORMED, f"nobody here reads the dialect {uplink.dialect}")
        if known is None or known.tenant != uplink.tenant:
            return _refuse_all(uplink, RefusalReason.UNKNOWN_SENSOR, "the device does not exist any more")
        try:
            return codec.decode(uplink)
        except Exception as error:
            return _fault(uplink, error)


class _Message:
    """One uplink that needs a closer look."""

    __slots__ = ("creates", "decoded", "described", "new", "readings", "refused", "uplink")

    def __init__(self, uplink: Uplink, described: Described | None, decoded: Decoded, *, creates: bool = True) -> None:
        self.uplink = uplink
        self.described = described
        self.decoded = decoded
        self.creates = creates
        self.readings: list[Reading] = []
        self.refused: list[Refusal] = []
        self.new: list[tuple[NewSensor, Rule]] = []
        """Sensors that must come into being first."""

    def check(self) -> None:
        """Sort everything into readings, refused and new."""
        try:
            self.refused += self.decoded.refused
            if self.described is not None:
                for index, item in enumerate(self.decoded.reported):
                    self._take(self.described, index, item)
            self._take_own(self.decoded.readings)
        except Exception as error:
            self._refuse_all(_fault(self.uplink, error))

    def _take_own(self, readings: Sequence[Reading]) -> None:
        """Values under paths of the platform's own; the codec has checked all but their time."""
        latest = self.uplink.received + MOST_AHEAD_MS
        if any(not 0 <= reading.at <= latest for reading in readings):
            detail = "the timestamp lies before 1970 or more than five minutes ahead"
            self._refuse_all(_refuse_all(self.uplink, RefusalReason.BAD_TIMESTAMP, detail))
        else:
            self.readings += readings

    def _take(self, described: Described, index: int, item: Reported) -> None:
        component: Component | None = None
        try:
            self._check_frame(item)
            found = described.find(item.ref)
            if isinstance(found, Rule):
                self.readings.append(Reading(found.path, item.at, found.take(item.value), item.meta))
            elif isinstance(found, NewSensor):
                component = found.component
                self._take_new(item, found)
            elif isinstance(found, ListField):
                component = found.component
                self._take_parts(described, index, item, component.spread_field(found.field, item.value))
            elif isinstance(item.value, dict):
                component = found
                self._take_parts(described, index, item, component.spread(item.value))
            else:
                component = found
                raise Refused(RefusalReason.TYPE_MISMATCH, f"{item.ref} is a component: its values come as an object")
        except Refused as error:
            self._refuse(index, item, error, component)

    def _take_new(self, item: Reported, sensor: NewSensor) -> None:
        if isinstance(item.value, dict):
            raise Refused(
                RefusalReason.MISSING_PROFILE, f"{item.ref} is no component, so no profile says what is in it"
            )
        rule = sensor.rule_for(item.value)
        rule.take(item.value)
        if not self.creates:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no such sensor, and it could not be made")
        self.new.append((sensor, rule))

    def _take_parts(self, described: Described, index: int, item: Reported, values: Parts) -> None:
        for path, value in values:
            self._take(described, index, Reported(path, item.at, value, item.meta))

    def _check_frame(self, item: Reported) -> None:
        if not 0 <= item.at <= self.uplink.received + MOST_AHEAD_MS:
            ahead = "is more than five minutes ahead" if item.at > 0 else "lies before 1970"
            raise Refused(RefusalReason.BAD_TIMESTAMP, f"the timestamp {ahead}")
        if len(item.meta.encode()) > _MOST_META_BYTES:
            raise Refused(RefusalReason.TOO_LARGE, f"metadata may have {_MOST_META_BYTES} bytes")

    def _refuse(self, index: int, item: Reported, error: Refused, component: Component | None) -> None:
        self.refused.append(
            Refusal(
                reason=error.reason,
                detail=error.detail,
                payload=spell_item(item),
                sensor_ref=item.ref,
                index=index,
                component=component.id if component else None,
                problems=error.problems,
            )
        )

    def _refuse_all(self, decoded: Decoded) -> None:
        self.readings.clear()
        self.new.clear()
        self.refused = list(decoded.refused)

    def accepted(self) -> Accepted:
        """What is left of it. A message that carries no readings is passed on with its payload."""
        decoded = self.decoded
        carries = decoded.reported or decoded.readings or decoded.refused or self.refused
        return _accept(self.uplink, self.readings, payload=b"" if carries else self.uplink.payload)


def _source(uplink: Uplink) -> str:
    return "" if uplink.source == "MQTT" else uplink.source


def _accept(uplink: Uplink, readings: list[Reading], *, device: bytes | None = None, payload: bytes = b"") -> Accepted:
    return Accepted.of(
        uplink.tenant,
        uplink.device if device is None else device,
        uplink.dialect,
        uplink.channel,
        uplink.received,
        readings,
        payload=payload,
        replayed=uplink.source == REPLAY,
        source=_source(uplink),
        size_bytes=len(uplink.payload),
    )


def accept_document(sent: Sent, checked: Checked) -> Accepted:
    """What is passed on of a document; nothing but its device when it was refused."""
    uplink = sent.uplink
    if not checked.removed:
        payload = uplink.payload if checked.is_event else b""
        return _accept(uplink, checked.readings, device=checked.device, payload=payload)
    payload = encode_removal(Removal(sent.document.at, checked.removed))
    taken = _accept(uplink, checked.readings, device=checked.device, payload=payload)
    return msgspec.structs.replace(taken, channel=REMOVAL)


def _refuse_all(uplink: Uplink, reason: RefusalReason, detail: str) -> Decoded:
    """Nothing of this message is taken."""
    return Decoded([], [], [Refusal(reason=reason, detail=detail, payload=uplink.payload, whole=True)])


def _fault(uplink: Uplink, error: Exception) -> Decoded:
    """A fault of ours, and still no reason to stop what others send."""
    _tell_fault(uplink, error)
    return _refuse_all(uplink, RefusalReason.MALFORMED, f"could not be read here: {type(error).__name__}")


def _tell_fault(uplink: Uplink, error: Exception) -> None:
    log.error("uplink cannot be checked", tenant=uplink.tenant, dialect=uplink.dialect, exc_info=error)


def _read_refusal(uplink: Uplink) -> Refusal:
    """What a door has refused, for its owner to read."""
    try:
        notice = _notice(uplink.payload)
        reason = RefusalReason(notice.reason)
    except (msgspec.DecodeError, ValueError) as error:
        return Refusal(RefusalReason.MALFORMED, f"a door has refused it: {error}", uplink.payload, whole=True)
    kept = f", of which {len(notice.head)} are kept" if len(notice.head) < notice.size_bytes else ""
    detail = f"{notice.detail}; topic {notice.topic!r}, {notice.size_bytes} bytes{kept}"
    if notice.others:
        detail += f"; {notice.others} more messages were refused shortly before"
    return Refusal(reason, detail, notice.head, whole=True)


def _merge(wanted: _Wanted, message: _Message) -> None:
    """Add what this message needs. Numbers with and without a fraction for one new sensor make it a DOUBLE."""
    uplink = message.uplink
    room = MOST_SENSORS - len(message.described.rules if message.described else ())
    new = wanted.setdefault(uplink.device, {})
    for sensor, rule in message.new:
        known = new.get(sensor.path)
        if known is None:
            takes = len(new) < room
        else:
            takes = known[3].field.value_type is ValueType.BIGINT and rule.field.value_type is ValueType.DOUBLE
        if takes:
            new[sensor.path] = (uplink.tenant, uplink.device, sensor, rule)
