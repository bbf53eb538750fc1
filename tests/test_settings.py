"""Settings: defaults, then a file, then the environment."""

import re
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


def test_an_unknown_key_in_the_file_is_told_with_the_one_that_may_be_meant(tmp_path: Path) -> None:
    file = tmp_path / "roadstead.toml"
    file.write_text("[mqtt]\nprot = 1883\n")
    with pytest.raises(SettingsError, match=r"roadstead.toml: mqtt.prot is not a setting \(did you mean mqtt.port\?\)"):
        read_settings({}, file=file)


def test_an_unknown_variable_is_told_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(SettingsError, match=r"^ROADSTEAD_HTPP_PORT is not .*did you mean ROADSTEAD_HTTP_PORT\?\)$"):
        read_settings({"ROADSTEAD_HTPP_PORT": "80"})
    with pytest.raises(SettingsError, match="ROADSTEAD_COLOUR is not a setting: 'roadstead settings' names them all"):
        read_settings({"ROADSTEAD_COLOUR": "blue"})


def test_what_container_platforms_say_about_a_service_of_our_name_is_no_mistake() -> None:
    read_settings(
        {
            "ROADSTEAD_SERVICE_HOST": "10.0.0.1",
            "ROADSTEAD_SERVICE_PORT_HTTP": "8080",
            "ROADSTEAD_PORT": "tcp://10.0.0.1:8080",
            "ROADSTEAD_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ROADSTEAD_LOG_LEVEL", "loud", "expected one of debug, info, warning, error"),
        ("ROADSTEAD_HTTP_METRICS_FROM", "127.0.0.1,10.0.0/8", "'10.0.0/8' is neither an address nor a network"),
        ("ROADSTEAD_HTTP_TRUSTED_PROXIES", "proxy.local", "'proxy.local' is neither"),
        ("ROADSTEAD_LIGHTELLIGENCE_IDENTITY_URL", "id.example.com", "begins with https:// or http://"),
        ("ROADSTEAD_LIGHTELLIGENCE_IDENTITY_URL", "https://id.example.com/", "begins with https:// or http://"),
        ("ROADSTEAD_LIGHTELLIGENCE_PORTAL_REDIRECT_URIS", "https://a.b/c,/d", "'/d' is no absolute URI"),
        ("ROADSTEAD_MQTT_PORT", "70000", "expected int <= 65535"),
        ("ROADSTEAD_HTTP_PORT", "0", "expected int >= 1"),
        ("ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE", "-1", "expected int >= 0"),
        ("ROADSTEAD_UNSAFE", "perhaps", "expected bool"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_setting(
    variable: str, value: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{variable}='{value}': {expected}")):
        read_settings({variable: value})


def test_all_that_is_wrong_is_told_at_once_and_no_secret_with_it(tmp_path: Path) -> None:
    file = tmp_path / "roadstead.toml"
    file.write_text('log_level = "loud"\nmaster_key = 5\n[http]\nport = "80"\n')
    with pytest.raises(SettingsError) as refused:
        read_settings({"ROADSTEAD_MQTT_PORT": "many"}, file=file)
    assert refused.value.problems == (
        f"{file}: master_key = ...: expected str",
        f"{file}: log_level = 'loud': expected one of debug, info, warning, error",
        f"{file}: http.port = '80': expected int",
        "ROADSTEAD_MQTT_PORT='many': expected int",
    )


def test_the_names_that_scripts_rely_on_are_there() -> None:
    names = {setting.variable for setting in all_settings()}

    assert {
        "ROADSTEAD_DATA_DIR", "ROADSTEAD_HTTP_PORT", "ROADSTEAD_MQTT_PORT", "ROADSTEAD_MQTTS_PORT",
        "ROADSTEAD_DATABASE_URL", "ROADSTEAD_NATS_URL", "ROADSTEAD_CLICKHOUSE_URL",
    } <= names  # fmt: skip
