"""Ports: the public ones are checked before anything starts, the private ones are found and remembered."""

import os
import socket
import stat
from pathlib import Path

import pytest

from roadstead.settings import HttpSettings, MqttSettings, Settings
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.ports import Door, check_doors, find_access, is_free, public_doors, remember_access


def test_a_private_port_and_its_password_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    access = remember_access(file, None)
    assert remember_access(file, None) == access == find_access(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_private_port_that_a_stranger_took_is_changed_and_the_password_stays(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    access = remember_access(file, None)
    with socket.create_server(("127.0.0.1", access.port)):
        other = remember_access(file, None)
    assert other.port != access.port
    assert other.password == access.password
    assert is_free(other.port)


def test_a_damaged_memory_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    file.write_text("{half")
    assert remember_access(file, None) == find_access(file)


def test_a_port_turned_off_is_not_checked() -> None:
    assert "ROADSTEAD_MQTT_PORT" not in [
        door.port_variable for door in public_doors(Settings(mqtt=MqttSettings(port=0)))
    ]


def test_the_same_port_twice_is_told_with_both_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = Settings(http=HttpSettings(port=port), mqtt=MqttSettings(port=port))
    doors = [door for door in public_doors(settings) if door.port == port]
    with pytest.raises(StartError, match="ROADSTEAD_HTTP_PORT and ROADSTEAD_MQTT_PORT"):
        check_doors(doors)


def test_an_address_that_is_not_ours_is_told_with_its_setting() -> None:
    door = Door("the API", 1, "ROADSTEAD_HTTP_PORT", "192.0.2.1", "ROADSTEAD_HTTP_HOST")
    with pytest.raises(StartError, match="set ROADSTEAD_HTTP_HOST"):
        check_doors([door])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen anywhere")
def test_a_low_port_is_told_to_an_ordinary_user() -> None:
    door = Door("the API", 80, "ROADSTEAD_HTTP_PORT", "127.0.0.1", "ROADSTEAD_HTTP_HOST")
    with pytest.raises(StartError, match="set ROADSTEAD_HTTP_PORT above 1023"):
        check_doors([door])
