"""Gets mail out: through SMTP, or as files into a folder when there is no server."""

import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from roadstead.core.ports import Mail, Mailer
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import new_id

log = structlog.get_logger()

_TIMEOUT_S = 20


class SmtpMailer:
    """Hands mail to one SMTP server: `smtp://` (STARTTLS when offered) or `smtps://` (TLS from the start)."""

    def __init__(self, url: str, sender: str) -> None:
        self._url = urlsplit(url)
        self._sender = sender
        if self._url.scheme not in {"smtp", "smtps"} or not self._url.hostname:
            raise ValueError("the SMTP URL is smtp://[user:password@]host[:port] or smtps://...")

    async def send(self, mail: Mail) -> Sequence[str]:
        """Raises `Unavailable` when the server took it for nobody; says for whom else it did not, and why."""
        direct = self._url.scheme == "smtps"
        try:
            refused, _ = await aiosmtplib.send(
                _spell(mail, self._sender),
                hostname=self._url.hostname,
                port=self._url.port or (465 if direct else 587),
                username=unquote(self._url.username) if self._url.username else None,
                password=unquote(self._url.password) if self._url.password else None,
                use_tls=direct,
                tls_context=ssl.create_default_context(),
                timeout=_TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unavailable(f"the mail server did not take the message{_reason(error)}", retry_after_s=60) from error
        return [f"{address}: {reply.code} {reply.message}" for address, reply in refused.items()]


class FolderMailer:
    """Writes mail as `.eml` files, so that invitations and resets work on a laptop."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> Sequence[str]:
        """Write one file, readable by its owner only (it may contain a link that signs somebody in)."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{new_id()}.eml"
        file.touch(mode=0o600)
        # As it is, for it is read in an editor: encoded for old mail servers, long lines would be broken in two.
        file.write_bytes(bytes(_spell(mail, self._sender, encoding="8bit")))
        log.info("mail written to a file, for no mail server is set", file=str(file), subject=mail.subject)
        return []


def make_mailer(smtp_url: str, sender: str, folder: Path) -> Mailer:
    """SMTP when there is a URL, else files."""
    return SmtpMailer(smtp_url, sender) if smtp_url else FolderMailer(folder, sender)


def _reason(error: Exception) -> str:
    """What the server said, if it was that."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "".join(f"; {one.recipient}: {one.code} {one.message}" for one in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f": {error.code} {error.message}"
    return ""


def _spell(mail: Mail, sender: str, *, encoding: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    domain = sender.rpartition("@")[2].rstrip(">") or "localhost"
    message["Message-ID"] = make_msgid(domain=domain) if mail.id is None else f"<{mail.id}@{domain}>"
    message.set_content(mail.text, cte=encoding)
    return message
