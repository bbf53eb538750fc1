"""A configuration on its way: bound, received, accepted, changed while the device is away, and drifting."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.devices import Device, register
from tests.platform import Platform, wait_until

BINDINGS = "/api/v1/desired-state-bindings"


class Configured:
    """A device that subscribes to its configuration."""

    def __init__(self, platform: Platform, name: str, directory: Path, **fields: Any) -> None:
        self.identity = register(platform.url, platform.credentials["apiKey"], name, **fields)
        self._directory = directory / name
        self._port = platform.ports["MQTTS"]
        self.device = Device(self.identity, self._directory)

    def connect(self) -> None:
        """A new session, which hears of its configuration."""
        self.device = Device(self.identity, self._directory).use_tls().connect(self._port)
        self.device.client.subscribe(self.identity.topics["configDesired"], qos=1)

    def heard(self, count: int) -> dict[str, Any]:
        """The document of this number in this session, as soon as it is there."""
        wait_until(lambda: len(self.device.messages) >= count)
        found: dict[str, Any] = json.loads(self.device.messages[count - 1][1])
        return found

    def say(self, document: dict[str, Any], status: str, **fields: Any) -> None:
        """Report the first entry of a document; returns when that is acknowledged."""
        entry = {name: value for name, value in document["entries"][0].items() if name != "content"}
        body = {"documentVersion": document["documentVersion"], "entries": [{**entry, "status": status, **fields}]}
        info = self.device.client.publish(self.identity.topics["configReported"], json.dumps(body), qos=1, retain=True)
        info.wait_for_publish(10)
        assert info.is_published()


def ok(answer: httpx.Response) -> Any:
    """The body of a success."""
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def test_a_configuration_from_binding_to_drift(
    platform: Platform, api: httpx.Client, stranger: httpx.Client, tmp_path: Path
) -> None:
    one = Configured(platform, "configured-1", tmp_path)
    other = Configured(platform, "configured-2", tmp_path)
    ids = [one.identity.device_id, other.identity.device_id]
    group = ok(api.post("/api/v1/device-groups", json={"name": "configured", "selector": {"matchTags": {"c": "1"}}}))
    for device_id in ids:
        ok(api.patch(f"/api/v1/devices/{device_id}", json={"tags": {"c": "1"}}))
    versions = [
        ok(api.post("/api/v1/config-artefacts", json={"name": "network", "content": {"interval": seconds, "q": 1.50}}))
        for seconds in (10, 20)
    ]
    body = {"targetType": "DEVICE_GROUP", "targetId": group["id"], "configArtefactId": versions[0]["id"]}

    # Bound while one of the two is connected: it is told at once, the other one when it comes.
    one.connect()
    binding = ok(api.put(BINDINGS, json=body))
    place = f"{BINDINGS}/{binding['id']}"
    document = one.heard(1)
    assert document["entries"][0]["content"] == versions[0]["content"] == {"interval": 10, "q": 1.5}
    assert document["entries"][0]["hash"] == versions[0]["sha256"]
    other.connect()
    assert other.heard(1) == document

    # In progress, accepted; the binding follows.
    one.say(document, "IN_PROGRESS")
    wait_until(lambda: ok(api.get(place))["deviceCounts"]["inProgress"] == 1)
    for device in (one, other):
        device.say(document, "ACCEPTED")
    wait_until(lambda: ok(api.get(place))["status"] == "ACCEPTED")
    state = ok(api.get(f"/api/v1/devices/{ids[0]}/desired-state"))
    assert (state["deliveredVersion"], state["reportedDocumentVersion"], state["drift"]) == (1, 1, False)

    # A change while one of them is away: it gets it when it comes back, and what it has until then is drift.
    one.device.vanish()
    ok(api.put(BINDINGS, json={**body, "configArtefactId": versions[1]["id"]}))
    news = other.heard(2)
    assert (news["documentVersion"], news["entries"][0]["content"]["interval"]) == (2, 20)
    other.say(news, "ACCEPTED")
    counts = wait_until(lambda: (found := ok(api.get(place))["deviceCounts"])["drifting"] == 1 and found)
    assert (counts["accepted"], counts["pending"]) == (1, 1)
    assert ok(api.get(place))["status"] == "MIXED"
    (late,) = ok(api.get(f"{place}/reports", params={"drift": "true"}))["items"]
    assert (late["deviceId"], late["reportedHash"]) == (ids[0], versions[0]["sha256"])
    one.connect()
    assert one.heard(1) == news
    one.say(news, "ACCEPTED")
    wait_until(lambda: ok(api.get(place))["status"] == "ACCEPTED")

    # Somebody changes it on the device: drift again, until it is sent once more and accepted.
    one.say(news, "ACCEPTED", hash="0" * 64)
    wait_until(lambda: ok(api.get(f"/api/v1/devices/{ids[0]}/desired-state"))["drift"])
    assert api.post(f"{place}/resend").status_code == 202
    assert one.heard(2) == news
    one.say(news, "ACCEPTED")
    wait_until(lambda: not ok(api.get(place))["drift"])

    # Who leaves the group gets an empty document; what cannot be read is kept in quarantine.
    ok(api.patch(f"/api/v1/devices/{ids[0]}", json={"tags": {"c": None}}))
    assert one.heard(3) == {"documentVersion": 3, "entries": []}
    one.say(news, "PERFECT")
    params = {"deviceId": ids[0]}
    (entry,) = wait_until(lambda: ok(api.get("/api/v1/admin/quarantine", params=params))["items"])
    assert "PERFECT" in entry["detail"]
    assert stranger.get(place).status_code == stranger.get(f"/api/v1/devices/{ids[0]}/desired-state").status_code == 404
    for device in (one, other):
        device.device.close()
    ok(api.delete(place))
