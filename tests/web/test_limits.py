"""Rate limits, and where a caller is."""

import httpx
import msgspec
import pytest

from roadstead.dialects.native import create_app
from roadstead.kernel.errors import TooMany
from roadstead.web.addresses import find_address, read_networks
from roadstead.web.edge import Edge
from roadstead.web.limits import Limits, RateLimiter, caller_at
from tests.conftest import Tenant


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limited(edge: Edge, *, proxies: str = "", **limits: int) -> Edge:
    """The same platform with limits."""
    return msgspec.structs.replace(edge, limits=Limits(**limits), trusted_proxies=read_networks(proxies))


def client_at(edge: Edge, address: str, key: str = "", app: object = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app or create_app(edge), client=(address, 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)


def test_a_bucket_holds_a_minutes_worth_and_fills_evenly() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock=clock)
    left = [limiter.take("a") for _ in range(60)]
    assert left[0] is not None and left[-1] is not None
    assert [(each.limit, each.remaining, each.reset_s) for each in (left[0], left[-1])] == [(60, 59, 1), (60, 0, 60)]
    with pytest.raises(TooMany) as refusal:
        limiter.take("a")
    assert refusal.value.retry_after_s == 1
    limiter.take("b")

    clock.now += 1
    limiter.take("a")
    with pytest.raises(TooMany):
        limiter.take("a")


def test_a_window_may_be_another_than_a_minute() -> None:
    clock = Clock()
    limiter = RateLimiter(30, window_s=15, clock=clock)
    for _ in range(30):
        limiter.take("a")
    with pytest.raises(TooMany, match="more than 30 requests in 15 seconds"):
        limiter.take("a")
    clock.now += 0.5
    limiter.take("a")
    with pytest.raises(TooMany):
        limiter.take("a")


def test_no_limit_counts_nothing() -> None:
    limiter = RateLimiter(0)
    assert [limiter.take("a") for _ in range(1000)] == [None] * 1000


def test_memory_for_callers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadstead.web.limits._MOST_CALLERS", 100)
    limiter = RateLimiter(2)
    for number in range(10_000):
        limiter.take(f"caller {number}")
        if number % 10 == 0:
            with pytest.raises(TooMany):
                [limiter.take("busy") for _ in range(3)]
    assert len(limiter._full_at) <= 100


def test_the_addresses_of_one_ipv6_network_are_one_caller() -> None:
    assert caller_at("2001:db8::1") == caller_at("2001:db8::ffff") != caller_at("2001:db8:0:1::1")
    assert caller_at("192.0.2.1") == "192.0.2.1"


async def test_each_key_has_its_own_limit_and_is_told(acme: Tenant, globex: Tenant) -> None:
    edge = limited(acme.edge, requests_per_minute=3)
    app = create_app(edge)
    ours, theirs = client_at(edge, "192.0.2.1", acme.key, app), client_at(edge, "192.0.2.1", globex.key, app)
    answers = [await ours.get("/api/v1/auth/me") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
    assert (answers[3].json()["code"], answers[3].headers["retry-after"]) == ("rate-limited", "20")
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert (await theirs.get("/api/v1/auth/me")).status_code == 200


async def test_sign_ins_are_limited_by_address(acme: Tenant) -> None:
    edge = limited(acme.edge, requests_per_minute=100, sign_ins_per_minute=2)
    app = create_app(edge)
    body = {"email": "nobody@nowhere.test", "password": "x"}

    async def try_at(address: str) -> int:
        return (await client_at(edge, address, app=app).post("/api/v1/auth/login", json=body)).status_code

    assert [await try_at("192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert await try_at("192.0.2.2") == 401
    assert (await client_at(edge, "192.0.2.1", acme.key, app).get("/api/v1/auth/me")).status_code == 200


async def test_bad_credentials_are_limited_by_address(acme: Tenant) -> None:
    edge = limited(acme.edge, requests_per_minute=2)
    app = create_app(edge)
    thief = client_at(edge, "192.0.2.1", "sk_live_" + "0" * 43, app)
    assert [(await thief.get("/api/v1/auth/me")).status_code for _ in range(3)] == [401, 401, 429]
    assert (await client_at(edge, "192.0.2.1", acme.key, app).get("/api/v1/auth/me")).status_code == 200


async def test_every_answer_tells_what_is_left(acme: Tenant) -> None:
    edge = limited(acme.edge, requests_per_minute=100)
    for path in ("/api/v1/auth/me", "/api/.well-known/jwks.json", "/api/v1/nowhere"):
        assert (await client_at(edge, "192.0.2.1").get(path)).headers["ratelimit-limit"] == "100"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.5"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["[2001:db8::5]:443"], "2001:db8::5"),
        ("10.0.0.1", ["203.0.113.5:8080"], "203.0.113.5"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("testclient", ["203.0.113.5"], "testclient"),
    ],
)
def test_proxies_are_believed_when_they_are_ours(peer: str, forwarded: list[str], expected: str) -> None:
    assert find_address(peer, forwarded, read_networks("10.0.0.0/8, ::1")) == expected


async def test_a_network_of_a_key_is_checked_behind_the_proxy(acme: Tenant) -> None:
    edge = limited(acme.edge, proxies="10.0.0.1")
    made = await acme.api.post("/api/v1/api-keys", json={"name": "x", "allowedCidrs": ["203.0.113.0/24"]})
    secret, header = made.json()["secret"], {"X-Forwarded-For": "203.0.113.5"}

    behind = await client_at(edge, "10.0.0.1", secret).get("/api/v1/auth/me", headers=header)
    liar = await client_at(edge, "192.0.2.1", secret).get("/api/v1/auth/me", headers=header)
    assert (behind.status_code, liar.status_code) == (200, 403)
