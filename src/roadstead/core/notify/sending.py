"""Putting a parcel into the words of its channel, and getting it out, once."""

import hashlib
import hmac
from datetime import datetime
from typing import Any

import msgspec

from roadstead.core.messages import Severity
from roadstead.core.notify.model import Announcement, ChannelType, Kind, Outcome, Parcel, Secrets
from roadstead.core.notify.templates import fill
from roadstead.core.ports import Mail, Notice, Ports, Post
from roadstead.kernel.errors import Forbidden, RoadsteadError, Unavailable
from roadstead.kernel.time import spell_instant

_LISTED = 100
"""So many of a digest are listed in a text; webhooks get all."""
_SHOWN_LETTERS = 300


async def send(ports: Ports, parcel: Parcel, at: datetime) -> Outcome:
    """Send it. Never raises for what the other side does.

    A repeat does no harm to those who look: each attempt carries the same id, as `Idempotency-Key` of a request and as
    `Message-ID` of a mail.
    """
    try:
        match parcel.channel.type:
            case ChannelType.EMAIL:
                return await _mail(ports, parcel)
            case ChannelType.WEBHOOK:
                return await _post(ports, parcel, at)
            case ChannelType.APPRISE:
                return await _tell(ports, parcel)
    except Forbidden as error:
        return Outcome(sent=False, error=_short(error), final=True)
    except Unavailable as error:
        return Outcome(sent=False, error=_short(error))


async def _mail(ports: Ports, parcel: Parcel) -> Outcome:
    config = parcel.channel.config
    content = spell_content(parcel)
    template = config.get("subjectTemplate")
    subject = str(fill(f"{template} ", content)) if template else _headline(parcel)
    text = content["text"]
    if parcel.is_digest or parcel.items[0].announcement.kind is not Kind.EVENT:
        text += f"\n\n-- \n{parcel.organization}: notification channel '{parcel.channel.name}'\n{ports.public_url}\n"
    mail = Mail(", ".join(config["recipients"]), " ".join(subject.split())[:200], text, parcel.id)
    refused = await ports.mailer.send(mail)
    return Outcome(sent=True, error=f"not taken for {'; '.join(refused)}"[:_SHOWN_LETTERS] if refused else None)


async def _post(ports: Ports, parcel: Parcel, at: datetime) -> Outcome:
    sealed = open_secrets(ports, parcel.sealed)
    content = spell_content(parcel)
    template = parcel.channel.config.get("template")
    body = msgspec.json.encode(content if template is None else fill(template, content))
    headers = sealed.headers | {
        "Content-Type": "application/json",
        "Idempotency-Key": str(parcel.id),
        **sign(body, sealed.secret or "", at),
    }
    reply = await ports.outgoing.post(Post(parcel.channel.config["url"], headers, body))
    if 200 <= reply.status < 300:
        return Outcome(sent=True, status_code=reply.status)
    said = f": {reply.beginning}" if reply.beginning else ""
    return Outcome(sent=False, status_code=reply.status, error=f"answered {reply.status}{said}"[:_SHOWN_LETTERS])


async def _tell(ports: Ports, parcel: Parcel) -> Outcome:
    url = open_secrets(ports, parcel.sealed).url or ""
    good = all(item.announcement.kind is Kind.RESOLVED for item in parcel.items)
    notice = Notice(_headline(parcel), spell_content(parcel)["text"], _worst(parcel), good)
    await ports.chat.send(url, notice)
    return Outcome(sent=True)


def sign(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Headers that show who says this, and when: one signature of the body, one of the time, a dot and the body."""
    seconds = str(int(at.timestamp()))
    return {
        "X-Signature": _signature(secret, body),
        "X-Timestamp": seconds,
        "X-Signature-Timestamped": _signature(secret, f"{seconds}.".encode() + body),
    }


def _signature(secret: str, content: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def seal_secrets(ports: Ports, secrets: Secrets) -> bytes:
    """For the row of the channel."""
    return ports.vault.seal(msgspec.json.encode(secrets), "channel")


def open_secrets(ports: Ports, sealed: bytes | None) -> Secrets:
    """From the row of the channel."""
    return Secrets() if sealed is None else msgspec.json.decode(ports.vault.open(sealed, "channel"), type=Secrets)


def spell_content(parcel: Parcel) -> dict[str, Any]:
    """What a webhook tells, and what templates are filled from. The same at each attempt."""
    head: dict[str, Any] = {
        "id": str(parcel.id),
        "organizationId": str(parcel.organization_id),
        "channelId": str(parcel.channel.id),
    }
    if not parcel.is_digest:
        return head | _spell_announcement(parcel.items[0].announcement)
    listed = [_line(item.announcement) for item in parcel.items[:_LISTED]]
    left = len(parcel.items) - len(listed)
    if left:
        listed.append(f"... and {left} more")
    return head | {
        "type": "digest",
        "severity": _worst(parcel).value,
        "title": _headline(parcel),
        "text": "\n".join(listed),
        "occurredAt": spell_instant(max(item.announcement.occurred_at for item in parcel.items)),
        "count": len(parcel.items),
        "items": [_spell_announcement(item.announcement) for item in parcel.items],
    }


def _spell_announcement(announcement: Announcement) -> dict[str, Any]:
    about_alert = announcement.kind not in (Kind.TEST, Kind.EVENT)
    spelled = {
        "type": f"alert.{announcement.kind.lower()}" if about_alert else announcement.kind.lower(),
        "alertId": None if announcement.alert_id is None else str(announcement.alert_id),
        "eventId": None if announcement.event_id is None else str(announcement.event_id),
        "severity": announcement.severity.value,
        "title": announcement.title,
        "text": announcement.text,
        "occurredAt": spell_instant(announcement.occurred_at),
        "data": announcement.payload,
    }
    return {name: value for name, value in spelled.items() if value is not None}


def _headline(parcel: Parcel) -> str:
    if parcel.is_digest:
        return f"{_worst(parcel)}: {len(parcel.items)} notifications"
    return parcel.items[0].announcement.title


def _line(announcement: Announcement) -> str:
    text = " ".join(announcement.text.split())
    return f"{spell_instant(announcement.occurred_at)} {announcement.title}: {text}"


def _worst(parcel: Parcel) -> Severity:
    return max((item.announcement.severity for item in parcel.items), key=lambda severity: severity.rank)


def _short(error: RoadsteadError) -> str:
    return str(error)[:_SHOWN_LETTERS]
