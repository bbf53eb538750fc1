"""What the platform writes down about itself: JSON by the line, and nothing secret in it."""

import json
import re
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pyotp
from websockets.sync.client import connect

from tests.journeys.devices import Device, register
from tests.platform import ROLES, Platform, wait_until

PASSWORD = "correct-horse-battery-staple"
FORMS = {
    "an API key": re.compile(r"sk_(live|test)_[0-9A-Za-z]{20,}"),
    "a session token": re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\."),
    "a registration token": re.compile(r"[0-9a-f-]{36}\.[0-9a-f-]{36}\.[\w-]{20,}"),
    "a private key": re.compile(r"PRIVATE KEY"),
    "the password of a server": re.compile(r"(postgresql|nats|http)://\w+:[^\s@]+@"),
}


def test_nothing_secret_is_in_the_logs(platform: Platform, api: httpx.Client, tmp_path: Path) -> None:
    with httpx.Client(base_url=platform.url, timeout=20) as person:
        secrets = {
            **_secrets_of_the_machine(platform),
            **_use_sessions(platform, person),
            **_use_keys(platform, api, person),
            **_use_devices(platform, api, tmp_path),
        }
    assert all(len(secret) >= 8 for secret in secrets.values()), secrets.keys()

    files = [*(platform.directory / "logs").iterdir(), platform.directory.parent / f"{platform.directory.name}.out"]
    assert {"api.log", "gateway.log", "store.log", "worker.log", "postgres.log", "nats.log"} <= {f.name for f in files}
    for file in files:
        text = file.read_text()
        for name, secret in secrets.items():
            assert secret not in text, f"{name} is in {file.name}"
        for name, form in FORMS.items():
            assert not form.search(text), f"{name} is in {file.name}"


def test_each_line_of_a_role_is_json_that_says_who_when_and_what(platform: Platform, api: httpx.Client) -> None:
    name = "journey-of-a-log-line"
    assert api.get("/api/v1/devices", headers={"X-Request-Id": name}).status_code == 200

    def find() -> dict[str, Any] | None:
        return next(
            (line for line in platform.log_lines("api") if line.get("request_id") == "journey-of-a-log-line"), None
        )

    line = wait_until(find)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/devices", 200)
    for role in ROLES:
        for said in platform.log_lines(role):
            assert said.keys() >= {"timestamp", "level", "event", "role"}
            assert said["role"] == role
            assert said["level"] not in {"error", "critical"}, said


def _secrets_of_the_machine(platform: Platform) -> dict[str, str]:
    directory = platform.directory
    return {
        "the owner's password": platform.credentials["password"],
        "the owner's key": platform.credentials["apiKey"],
        "the master key": (directory / "master.key").read_text().strip(),
        "PostgreSQL's password": (directory / "postgres" / "password").read_text().strip(),
        "NATS's password": json.loads((directory / "nats" / "access.json").read_text())["password"],
        "the store's password": json.loads((directory / "store-access.json").read_text())["password"],
    }


def _use_sessions(platform: Platform, person: httpx.Client) -> dict[str, str]:
    """Sign in, rightly and wrongly; invite somebody, who sets up a second factor and forgets the password."""
    found = platform.credentials
    wrong = {"email": found["email"], "password": "not-the-owner's-password"}
    assert person.post("/api/v1/auth/login", json=wrong).status_code == 401
    owner = _sign_in(person, found["email"], found["password"])
    invitation = {"email": "guest@acme.test", "role": "MEMBER"}
    path = "/api/v1/organizations/current/invitations"
    assert person.post(path, json=invitation, headers=_bearer(owner)).status_code == 201
    token = _token_in_mail(platform, "guest@acme.test", known=set())
    accepted = person.post(f"/api/v1/invitations/{token}/accept", json={"name": "Guest", "password": PASSWORD})
    assert accepted.status_code in {200, 201}, accepted.text
    assert person.post(f"/api/v1/invitations/{token}/accept", json={}).status_code in {404, 409, 410, 422}

    guest = _sign_in(person, "guest@acme.test", PASSWORD)
    factor = person.post("/api/v1/auth/totp", json={"password": PASSWORD}, headers=_bearer(guest)).json()["secret"]
    code = {"otp": pyotp.TOTP(factor).now()}
    recovery = person.post("/api/v1/auth/totp/confirm", json=code, headers=_bearer(guest)).json()["recoveryCodes"]
    refreshed = person.post("/api/v1/auth/refresh", json={"refreshToken": guest["refreshToken"]}).json()
    assert person.post("/api/v1/auth/password/forgot", json={"email": "guest@acme.test"}).status_code == 202
    reset = _token_in_mail(platform, "guest@acme.test", known={token})
    body = {"token": reset, "newPassword": f"{PASSWORD}-2"}
    assert person.post("/api/v1/auth/password/reset", json=body).status_code == 204
    return {
        "a wrong password": wrong["password"],
        "a password": PASSWORD,
        "an invitation": token,
        "a reset": reset,
        "a second factor": factor,
        **{f"recovery code {number}": code for number, code in enumerate(recovery)},
        **{
            f"{name} of {who}": one[name]
            for name in ("accessToken", "refreshToken")
            for who, one in {"the owner": owner, "the guest": guest, "the guest, refreshed": refreshed}.items()
        },
    }


def _use_keys(platform: Platform, api: httpx.Client, person: httpx.Client) -> dict[str, str]:
    """Use a key as it should be and as it should not be, revoke it and use it again."""
    made = api.post("/api/v1/api-keys", json={"name": "logs", "scopes": ["devices:read", "readings:read"]}).json()
    secret = str(made["secret"])
    assert person.get("/api/v1/devices", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert person.get("/api/v1/devices", params={"apiKey": secret}).status_code in {401, 422}
    assert person.get(f"/api/v1/devices/{secret}").status_code == 401
    url = platform.url.replace("http", "ws") + "/api/v1/stream/ws?topics=reading"
    with connect(url, subprotocols=["roadstead.v1", f"bearer.{secret}"]) as socket:  # type: ignore[list-item]
        socket.recv()
    assert api.delete(f"/api/v1/api-keys/{made['id']}").status_code == 204
    assert person.get("/api/v1/devices", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    return {"a key": secret}


def _use_devices(platform: Platform, api: httpx.Client, directory: Path) -> dict[str, str]:
    """Redeem a token, twice; sign in with a key, a wrong one too."""
    token = api.post("/api/v1/devices/registration/tokens", json={"deviceName": "logs-1"}).json()["token"]
    for _ in range(2):
        assert httpx.post(f"{platform.url}/api/v1/devices/provision", json={"token": token, "csr": "x"}).is_error
    identity = register(platform.url, platform.credentials["apiKey"], "logs-2")
    for password in (platform.credentials["apiKey"], "sk_live_wrong-password-of-a-device"):
        Device(identity, directory).use_key(password).connect(platform.ports["MQTT"]).close()
    with_tls = Device(identity, directory / "tls").use_tls().connect(platform.ports["MQTTS"])
    with_tls.client.publish("v1/readings/of/others", b"hush-hush-payload", qos=1).wait_for_publish(5)
    with_tls.close()
    return {
        "a token": token,
        "a token's secret": token.split(".")[2],
        "a wrong device password": "wrong-password-of-a-device",
        "a device's private key": identity.private_key.decode().splitlines()[1],
        "a device's message": "hush-hush-payload",
    }


def _sign_in(person: httpx.Client, email: str, password: str) -> dict[str, str]:
    answer = person.post("/api/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    session: dict[str, str] = answer.json()
    return session


def _bearer(session: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['accessToken']}"}


def _token_in_mail(platform: Platform, to: str, *, known: set[str]) -> str:
    """The newest token that was mailed to somebody."""

    def find() -> str | None:
        for file in (platform.directory / "mail").glob("*.eml"):
            mail = message_from_bytes(file.read_bytes(), policy=policy.default)
            body = mail.get_body()
            text = str(body.get_content()) if body else ""
            tokens: set[str] = set(re.findall(r"\b[0-9A-Za-z]{43}\b", text)) - known
            if to in str(mail["To"]) and tokens:
                return tokens.pop()
        return None

    token: str = wait_until(find)
    return token
