"""What a role is told, and what it tells."""

import os
from pathlib import Path

import msgspec
import pytest

from roadstead.settings import HttpSettings, Settings, all_settings, read_settings
from roadstead.supervisor import notify
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.ports import Access
from roadstead.supervisor.wiring import Wiring, read_wiring, role_environment

_SETTINGS = Settings(data_dir=Path("/data"), expose_api_docs=False, http=HttpSettings(port=81), nats_url="nats://u:p@h")
_WIRING = Wiring(store=Access(20_001, "secret"), notify_fd=7)


def test_a_role_reads_the_settings_and_the_wiring_that_it_was_given() -> None:
    environment = role_environment({"PATH": "/bin", "ROADSTEAD_CONFIG": "gone.toml"}, _SETTINGS, _WIRING)
    assert read_settings(environment) == _SETTINGS
    assert read_wiring(environment) == _WIRING
    assert environment["PATH"] == "/bin"


def test_without_a_supervisor_there_is_no_wiring() -> None:
    assert read_wiring({}) == Wiring()


def test_half_a_wiring_is_refused() -> None:
    with pytest.raises(StartError, match="ROADSTEAD_STORE_PASSWORD"):
        read_wiring({"ROADSTEAD_STORE_PORT": "20001"})


def test_the_wiring_is_no_setting() -> None:
    assert not {name for name, _ in _WIRING.environment()} & {setting.variable for setting in all_settings()}


def test_every_setting_survives_the_way_to_a_role() -> None:
    assert read_settings(role_environment({}, Settings(), Wiring())) == msgspec.structs.replace(Settings())


def test_ready_is_said_once() -> None:
    listen, speak = os.pipe()
    environment = dict(Wiring(notify_fd=speak).environment())
    notify.ready(environment)
    notify.ready(environment)
    with os.fdopen(listen, "rb") as pipe:
        assert pipe.read() == notify.MESSAGE


def test_ready_without_a_supervisor_does_nothing() -> None:
    notify.ready({})
