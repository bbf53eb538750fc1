"""How often one thing may be said."""

import pytest

from roadstead.app.api import rates_of
from roadstead.dialects.losant.throttles import Rates, Throttle, Throttles
from roadstead.kernel.errors import TooMany
from roadstead.kernel.ids import new_id
from roadstead.settings import read_settings
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device


def test_each_device_and_each_kind_is_counted_by_itself() -> None:
    throttles, device, other = Throttles(Rates()), new_id(), new_id()
    for _ in range(30):
        throttles.take(Throttle.DEVICE_STATE, device)
    with pytest.raises(TooMany) as refusal:
        throttles.take(Throttle.DEVICE_STATE, device)
    assert refusal.value.retry_after_s == 1
    throttles.take(Throttle.DEVICE_COMMAND, device)
    throttles.take(Throttle.DEVICE_STATE, other)
    for _ in range(15):
        throttles.take(Throttle.EVENT, device)
    with pytest.raises(TooMany):
        throttles.take(Throttle.EVENT, device)


def test_the_numbers_are_settings() -> None:
    rates = rates_of(read_settings({"ROADSTEAD_LOSANT_DEVICE_MESSAGES": "2", "ROADSTEAD_LOSANT_EVENTS": "0"}))
    throttles, device = Throttles(rates), new_id()
    throttles.take(Throttle.PUBLISHED_MESSAGE, device)
    throttles.take(Throttle.PUBLISHED_MESSAGE, device)
    with pytest.raises(TooMany):
        throttles.take(Throttle.PUBLISHED_MESSAGE, device)
    for _ in range(100):
        throttles.take(Throttle.EVENT, device)


async def test_a_device_that_says_too_much_is_told_when_to_come_back(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["t"])
    place = {"applicationId": application, "deviceId": device}
    answer = await client.ask("device.sendState", json={"data": {"t": 0}}, **place)
    sent = 1
    # Two a second are given back meanwhile.
    while answer.status_code == 200 and sent < 300:
        answer = await client.ask("device.sendState", json={"data": {"t": sent}}, **place)
        sent += 1
    assert sent > 30
    assert (answer.status_code, answer.json()["type"]) == (429, "RateLimited")
    assert int(answer.headers["retry-after"]) >= 1
