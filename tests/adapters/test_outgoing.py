"""The guard of outgoing requests: what it refuses, and that there is no way around it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from roadstead.adapters.chat import AppriseChat
from roadstead.adapters.outgoing import Guard, GuardedClient, trusted_certificates
from roadstead.core.messages import Severity
from roadstead.core.ports import Notice, Post
from roadstead.kernel.errors import Forbidden, Unavailable
from tests.gateways.certificates import make
from tests.receivers import receiver

NOTICE = Notice("title", "text", Severity.INFO, False)
LOCAL = Guard([ip_network("127.0.0.0/8")], plain_http=True)
STRICT = Guard(plain_http=True)


class Names:
    """A resolver of our own; remembers what it was asked."""

    def __init__(self, **addresses: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(lists) for name, lists in addresses.items()}

    async def look_up(self, host: str) -> Sequence[str]:
        """The next answer for a name; the last one stays."""
        if host not in self.answers:
            raise OSError("no such host")
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def post(url: str, **headers: str) -> Post:
    """Something to be sent."""
    return Post(url, headers, b"{}")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "fec0::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "pump",
    ],
)  # fmt: skip
def test_what_is_not_on_the_public_internet_is_refused(address: str) -> None:
    with pytest.raises(Forbidden):
        STRICT.check_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_the_public_internet_is_open(address: str) -> None:
    STRICT.check_address(address)


def test_what_the_operator_allows_is_open_and_nothing_else() -> None:
    guard = Guard([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        guard.check_address(address)
    for address in ("192.168.0.1", "127.0.0.1", "fc00::1"):
        with pytest.raises(Forbidden):
            guard.check_address(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "https://"),
        ("ftp://example.com/", "https://"),
        ("https://", "host"),
        ("https://user:secret@example.com/", "header"),
        ("https://127.0.0.1/", "public internet"),
        ("https://[::1]:8443/", "public internet"),
        ("https://example.com:port/", "URL"),
        ("https://example.com/a b", "URL"),
        ("", "https://"),
    ],
)
def test_a_url_that_cannot_be_is_refused_before_it_is_used(url: str, reason: str) -> None:
    assert reason in str(Guard().check_url(url))


async def test_a_name_is_judged_by_the_address_it_has_when_it_is_connected_to() -> None:
    names = Names(inside_test=[["127.0.0.1"]], mixed_test=[["127.0.0.2", "127.0.0.1"]])
    async with receiver() as heard:
        for host in ("inside.test", "mixed.test"):
            with pytest.raises(Forbidden, match="public internet"):
                await GuardedClient(STRICT, look_up=names.look_up).post(post(f"http://{host}:{heard.port}/"))
        only_one = Guard([ip_network("127.0.0.1/32")], plain_http=True)
        reply = await GuardedClient(only_one, look_up=names.look_up).post(post(f"http://mixed.test:{heard.port}/"))

    assert (reply.status, len(heard.requests)) == (200, 1)
    assert heard.requests[0].headers["host"] == f"mixed.test:{heard.port}"


async def test_a_name_that_changes_its_meaning_in_between_gains_nothing() -> None:
    names = Names(rebinding_test=[["8.8.8.8"], ["127.0.0.1"]])
    seen: list[str] = []

    class Watching(Guard):
        def check_address(self, text: str) -> None:
            seen.append(text)
            if text == "8.8.8.8":
                raise Forbidden("not in this test")

    async with receiver() as heard:
        client = GuardedClient(Watching(plain_http=True), look_up=names.look_up)
        with pytest.raises(Forbidden, match="not in this test"):
            await client.post(post(f"http://rebinding.test:{heard.port}/"))

    # One look at the name, and nothing else is connected to than what was looked at.
    assert (seen, heard.requests) == (["8.8.8.8"], [])


async def test_redirects_are_followed_to_where_the_guard_lets_them_and_no_further() -> None:
    names = Names(front_test=[["127.0.0.1"]], back_test=[["127.0.0.2"]])
    guard = Guard([ip_network("127.0.0.1/32")], plain_http=True)
    client = GuardedClient(guard, look_up=names.look_up)
    async with receiver() as heard:
        port = heard.port
        heard.redirect("/by-name", 307, f"http://back.test:{port}/")
        heard.redirect("/by-address", 308, f"http://127.0.0.2:{port}/")
        heard.redirect("/away", 307, "file:///etc/passwd")
        heard.redirect("/inside", 308, "/end")
        heard.redirect("/loses-body", 302, "/end")
        heard.redirect("/round", 307, "/round")
        for path in ("/by-name", "/by-address", "/away"):
            with pytest.raises(Forbidden):
                await client.post(post(f"http://front.test:{port}{path}"))
        assert (await client.post(post(f"http://front.test:{port}/inside"))).status == 200
        assert (await client.post(post(f"http://front.test:{port}/loses-body"))).status == 302
        with pytest.raises(Unavailable, match="redirects"):
            await client.post(post(f"http://front.test:{port}/round"))

    reached = [request.path for request in heard.requests]
    assert [reached.count(path) for path in ("/end", "/", "/round")] == [1, 0, 4]


async def test_what_one_server_is_told_in_headers_is_not_told_to_the_next() -> None:
    names = Names(front_test=[["127.0.0.1"]], back_test=[["127.0.0.1"]])
    async with receiver() as heard:
        heard.redirect("/", 307, f"http://back.test:{heard.port}/end")
        client = GuardedClient(LOCAL, look_up=names.look_up)
        headers = {"Authorization": "Bearer x", "X-Signature": "sha256=0"}
        await client.post(Post(f"http://front.test:{heard.port}/", headers, b"{}"))

    first, second = heard.requests
    assert (first.headers["authorization"], second.headers["x-signature"]) == ("Bearer x", "sha256=0")
    assert "authorization" not in second.headers
    assert second.body == b"{}"


async def test_who_does_not_answer_in_time_is_given_up_however_slowly_it_trickles() -> None:
    @asynccontextmanager
    async def trickle() -> AsyncIterator[int]:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]

    async with trickle() as port:
        with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
            await GuardedClient(LOCAL, total_s=0.2).post(post(f"http://127.0.0.1:{port}/"))
    with pytest.raises(Unavailable):
        await GuardedClient(LOCAL).post(post(f"http://127.0.0.1:{port}/"))


async def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    async with receiver() as heard:
        heard.body = b"x" * 50_000_000
        reply = await GuardedClient(LOCAL).post(post(f"http://127.0.0.1:{heard.port}/"))

    assert reply.beginning == "x" * 200


async def test_the_certificate_must_be_for_the_name_although_an_address_is_connected_to(tmp_path: Path) -> None:
    names = Names(localhost=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    certificate, key = make("hook").save(tmp_path, "hook")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = trusted_certificates()
    client = GuardedClient(LOCAL, look_up=names.look_up, tls=ours)
    async with receiver(theirs) as heard:
        with pytest.raises(Unavailable, match=r"self.signed certificate"):
            await client.post(post(f"https://localhost:{heard.port}/"))
        ours.load_verify_locations(certificate)
        assert (await client.post(post(f"https://localhost:{heard.port}/"))).status == 200
        with pytest.raises(Unavailable, match=r"Hostname mismatch"):
            await client.post(post(f"https://other.test:{heard.port}/"))


@pytest.fixture
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.usefixtures("_proxy")
async def test_proxies_of_the_environment_are_not_used() -> None:
    async with receiver() as heard:
        assert (await GuardedClient(LOCAL).post(post(f"http://127.0.0.1:{heard.port}/"))).status == 200


# --- chat services ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
async def test_a_chat_service_reaches_nothing_that_the_guard_refuses(host: str) -> None:
    async with receiver() as heard:
        with pytest.raises(Forbidden):
            await AppriseChat(Guard(), "json").send(f"json://{host}:{heard.port}/", NOTICE)
    assert heard.requests == []


async def test_a_chat_service_gets_what_the_guard_lets_pass() -> None:
    chat = AppriseChat(LOCAL, "json")
    async with receiver() as heard:
        await chat.send(f"json://127.0.0.1:{heard.port}/path", NOTICE)
        heard.status = 500
        with pytest.raises(Unavailable, match="500"):
            await chat.send(f"json://127.0.0.1:{heard.port}/path", NOTICE)

    assert (b'"title"' in heard.requests[0].body, len(heard.requests)) == (True, 2)


async def test_a_chat_service_follows_no_redirect_to_what_the_guard_refuses() -> None:
    async with receiver() as heard:
        heard.redirect("/", 307, f"http://127.0.0.2:{heard.port}/")
        only_one = Guard([ip_network("127.0.0.1/32")], plain_http=True)
        with pytest.raises((Forbidden, Unavailable)):
            await AppriseChat(only_one, "json").send(f"json://127.0.0.1:{heard.port}/", NOTICE)
    assert len(heard.requests) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mailto://a:b@example.com", "not offered"),
        ("syslog://", "not offered"),
        ("dbus://", "not offered"),
        ("nothing://x", "none that a service is known for"),
        ("slack://T1", "lacks something"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?template=/etc/passwd", "template"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?verify=no&optional=yes", "optional, verify"),
    ],
)
def test_a_chat_service_that_cannot_be_used_is_refused_without_repeating_its_tokens(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        AppriseChat(Guard(), "slack").find_service(url)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(caught.value)


def test_the_address_that_a_service_shows_to_people_is_taken_as_well() -> None:
    url = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert AppriseChat(Guard(), "slack").find_service(url) == "slack"
