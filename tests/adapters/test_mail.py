"""Mail, over SMTP and into files."""

import asyncio
import email
import email.policy
import stat
from pathlib import Path

import pytest

from roadstead.adapters.mail import make_mailer
from roadstead.core.ports import Mail
from roadstead.kernel.errors import Unavailable

MAIL = Mail(to="ada@acme.example", subject="Willkommen an Bord ⚓", text="Grüße.\n\nhttps://acme.example/join/1\n")


class Post:
    """As much of an SMTP server as a mail needs."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.content = b""
        self.recipient = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        writer.write(b"220 post\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                self.content = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
            if word == "RCPT":
                self.recipient = line
            answer = self.refusal if word == "RCPT" and self.refusal else "250 post"
            writer.write(f"{'221' if word == 'QUIT' else answer} \r\n".encode())
            if word == "QUIT":
                break
        writer.close()


async def test_a_mail_reaches_the_server(tmp_path: Path) -> None:
    post = Post()
    async with await asyncio.start_server(post.talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await make_mailer(f"smtp://127.0.0.1:{port}", "roadstead@acme.example", tmp_path).send(MAIL)

    found = email.message_from_bytes(post.content, policy=email.policy.default)
    assert (found["To"], found["From"], found["Subject"]) == (MAIL.to, "roadstead@acme.example", MAIL.subject)
    assert found.get_content().replace("\r\n", "\n") == MAIL.text
    assert MAIL.to in post.recipient
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_does_not_take_it_is_told_from_success(tmp_path: Path) -> None:
    post = Post(refusal="550 nobody here")
    async with await asyncio.start_server(post.talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        mailer = make_mailer(f"smtp://127.0.0.1:{port}", "roadstead@acme.example", tmp_path)
        with pytest.raises(Unavailable):
            await mailer.send(MAIL)
    with pytest.raises(Unavailable):
        await mailer.send(MAIL)


async def test_without_a_server_a_mail_is_a_file_for_its_owner(tmp_path: Path) -> None:
    await make_mailer("", "roadstead@localhost", tmp_path / "mail").send(MAIL)

    [file] = (tmp_path / "mail").glob("*.eml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (found["To"], found["Subject"], found.get_content()) == (MAIL.to, MAIL.subject, MAIL.text)


@pytest.mark.parametrize("url", ["http://mail.example", "mail.example:25", "smtp://"])
def test_what_is_no_mail_server_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SMTP URL"):
        make_mailer(url, "roadstead@localhost", tmp_path)
