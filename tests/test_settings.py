"""Settings: defaults, then a file, then the environment."""

from pathlib import Path

import pytest

from roadstead.settings import SettingsError, all_settings, read_settings


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "roadstead.toml"
    file.write_text('log_level = "debug"\n[mqtt]\nport = 2883\n[http]\nport = 9090\n')
    settings = read_settings({"ROADSTEAD_CONFIG": str(file), "ROADSTEAD_HTTP_PORT": "9999"})

    assert (settings.log_level, settings.mqtt.port, settings.http.port) == ("debug", 2883, 9999)
    assert settings.mqtts.port == 8883
    assert settings.url == "http://localhost:9999"


def test_a_wrong_value_is_told_with_the_name_of_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"ROADSTEAD_MQTT_PORT='many': expected int"):
        read_settings({"ROADSTEAD_MQTT_PORT": "many"})


def test_an_unknown_key_in_the_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "roadstead.toml"
    file.write_text("[mqtt]\nprot = 1883\n")
    with pytest.raises(SettingsError, match="prot"):
        read_settings({}, file=file)


def test_the_names_that_scripts_rely_on_are_there() -> None:
    names = {setting.variable for setting in all_settings()}

    assert {
        "ROADSTEAD_DATA_DIR", "ROADSTEAD_HTTP_PORT", "ROADSTEAD_MQTT_PORT", "ROADSTEAD_MQTTS_PORT",
        "ROADSTEAD_DATABASE_URL", "ROADSTEAD_NATS_URL", "ROADSTEAD_CLICKHOUSE_URL",
    } <= names  # fmt: skip
