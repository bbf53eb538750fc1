"""`roadstead tenant`, `user` and `key` beside a running platform, and `doctor`."""

import time

import httpx
import pytest

from tests.cli.conftest import Roadstead
from tests.platform import Platform

PASSWORD = "a-password-of-some-length"


@pytest.fixture(scope="module")
def umbrella(platform: Platform) -> str:
    """The slug of an organization of this module."""
    done = platform.command("tenant", "create", "Umbrella Ltd", "--owner", "owner@umbrella.test", "--slug", "umbrella")
    assert done.returncode == 0, done.stderr
    return "umbrella"


def test_an_organization_is_created_suspended_and_restored(roadstead: Roadstead, platform: Platform) -> None:
    made = roadstead("tenant", "create", "Hooli", "--owner", "owner@hooli.test", "--json").json
    assert made.keys() == {"organizationId", "slug", "email", "apiKey", "password"}
    assert _status(platform, made["apiKey"]) == 200
    assert _sign_in(platform, "owner@hooli.test", made["password"]) == 200

    row = next(row for row in roadstead("tenant", "list").rows if row.startswith("Hooli"))
    assert (row.split()[1:3], row.split()[-1]) == (["hooli", "ACTIVE"], made["organizationId"])
    assert "SUSPENDED" in roadstead("tenant", "suspend", "hooli").out
    assert _status(platform, made["apiKey"]) == 403
    assert roadstead("tenant", "restore", made["organizationId"], "--json").json["status"] == "ACTIVE"
    assert _status(platform, made["apiKey"]) == 200

    taken = roadstead("tenant", "create", "Other", "--owner", "other@hooli.test", "--slug", "hooli")
    assert (taken.code, "'hooli' already exists" in taken.err) == (1, True)
    nobody = roadstead("tenant", "suspend", "hoo")
    assert (nobody.code, nobody.err) == (1, "error: organization hoo does not exist\n")


def test_people_are_created_added_and_given_passwords(roadstead: Roadstead, platform: Platform, umbrella: str) -> None:
    mine = roadstead("user", "create", "ada@acme.test", "--name", "Ada", "--role", "admin", "--json").json
    assert _sign_in(platform, "ada@acme.test", mine["password"]) == 200
    assert roadstead("user", "add", "ada@acme.test", "--tenant", umbrella).code == 0
    (row,) = [row for row in roadstead("user", "list", "--tenant", umbrella).rows if "ada@" in row]
    assert "MEMBER" in row
    roles = {user["email"]: user["role"] for user in roadstead("user", "list", "--json").json}
    assert (roles["ada@acme.test"], roles[platform.credentials["email"]]) == ("ADMIN", "OWNER")

    assert roadstead("user", "set-password", "ada@acme.test", "--password", PASSWORD).code == 0
    assert _sign_in(platform, "ada@acme.test", PASSWORD) == 200
    assert _sign_in(platform, "ada@acme.test", mine["password"]) == 401
    fresh = roadstead("user", "set-password", "ada@acme.test", "--json").json["password"]
    assert _sign_in(platform, "ada@acme.test", fresh) == 200

    for words in (("set-password", "no@acme.test"), ("add", "no@acme.test"), ("create", "ada@acme.test")):
        assert roadstead("user", *words).code == 1
    short = roadstead("user", "set-password", "ada@acme.test", "--password", "short")
    assert (short.code, "password" in short.err) == (1, True)


def test_a_key_is_created_with_scopes_and_revoked_at_once(
    roadstead: Roadstead, platform: Platform, umbrella: str
) -> None:
    made = roadstead("key", "create", "narrow", "--scopes", "devices:read", "--json").json
    assert _status(platform, made["apiKey"]) == 200
    posted = httpx.post(f"{platform.url}/api/v1/devices", json={"name": "x"}, headers=_bearer(made["apiKey"]))
    assert posted.status_code == 403
    (row,) = [row for row in roadstead("key", "list").rows if row.startswith("narrow")]
    assert (row.split()[1], row.split()[-1]) == (made["apiKey"][:12], made["id"])
    assert made["apiKey"] not in roadstead("key", "list", "--json").out

    revoked = roadstead("key", "revoke", made["id"], "--json").json
    began = time.monotonic()
    assert (revoked["status"], _status(platform, made["apiKey"])) == ("REVOKED", 401)
    assert time.monotonic() - began < 1.0

    other = roadstead("key", "create", "theirs", "--tenant", umbrella, "--json").json
    assert roadstead("key", "revoke", other["id"]).code == 1  # of another organization than ours
    assert roadstead("key", "revoke", other["apiKey"][:12], "--tenant", umbrella).code == 0
    assert _status(platform, other["apiKey"]) == 401
    assert "does not exist" in roadstead("key", "list", "--tenant", "nobody").err
    assert "is not a scope" in roadstead("key", "create", "odd", "--scopes", "devices:fly").err


def test_the_doctor_finds_a_running_platform_well(roadstead: Roadstead, platform: Platform) -> None:
    findings = roadstead("doctor", "--json").json
    assert {finding["verdict"] for finding in findings} == {"ok"}, findings
    names = {finding["name"] for finding in findings}
    assert {"PostgreSQL", "NATS", "store", "synchronous_commit", "sync_interval", "clock", "disk"} <= names
    assert {f"port {port}" for port in platform.ports.values()} <= names
    table = roadstead("doctor")
    assert table.code == 0
    assert all(row.startswith("ok") for row in table.rows)


def test_migrate_has_nothing_to_do_on_a_running_platform(roadstead: Roadstead) -> None:
    said = roadstead("migrate")
    assert (said.code, said.out) == (0, "the database is up to date\n")


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _status(platform: Platform, key: str) -> int:
    return httpx.get(f"{platform.url}/api/v1/devices", headers=_bearer(key), timeout=10).status_code


def _sign_in(platform: Platform, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    return httpx.post(f"{platform.url}/api/v1/auth/login", json=body, timeout=20).status_code
