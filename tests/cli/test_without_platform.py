"""Commands where nothing runs, and the settings, which need nothing to run."""

from pathlib import Path

import pytest

from roadstead.settings import all_settings, read_settings
from tests.cli.conftest import Roadstead

ID = "6b014440-27a6-89c5-8000-000c0a3121e7"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that is not there."""
    directory = tmp_path / "nowhere"
    monkeypatch.setenv("ROADSTEAD_DATA_DIR", str(directory))
    return directory


@pytest.mark.parametrize(
    "words",
    [
        ("device", "list"),
        ("device", "show", ID),
        ("device", "register", "pump-1"),
        ("device", "simulate"),
        ("device", "tail"),
        ("readings", "latest", ID),
        ("readings", "stats", ID),
        ("tenant", "list"),
        ("tenant", "create", "Acme", "--owner", "a@acme.test"),
        ("user", "list"),
        ("user", "set-password", "a@acme.test"),
        ("key", "list"),
        ("key", "revoke", ID),
        ("migrate",),
    ],
    ids=" ".join,
)
def test_without_a_platform_a_command_says_how_to_get_one(
    words: tuple[str, ...], command: Roadstead, nowhere: Path
) -> None:
    said = command(*words)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: ")
    assert "roadstead up" in said.err
    assert len(said.err.splitlines()) == 1
    assert not nowhere.exists()


def test_a_platform_that_does_not_answer_is_told_with_its_address(
    command: Roadstead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSTEAD_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ROADSTEAD_API_KEY", "sk_live_x")
    said = command("device", "list")
    assert said.code == 1
    assert "http://127.0.0.1:1 cannot be reached" in said.err


def test_credentials_that_cannot_be_read_are_told(command: Roadstead, nowhere: Path) -> None:
    nowhere.mkdir()
    (nowhere / "credentials.json").write_text("{")
    said = command("device", "list")
    assert (said.code, "credentials.json cannot be read" in said.err) == (1, True)


def test_a_setting_that_is_wrong_is_named(command: Roadstead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSTEAD_HTTP_PORT", "eighty")
    said = command("settings")
    assert (said.code, "ROADSTEAD_HTTP_PORT='eighty'" in said.err) == (1, True)


def test_settings_shows_every_setting_and_no_secret(command: Roadstead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSTEAD_DATABASE_URL", "postgresql://me:hush@db/roadstead")
    monkeypatch.setenv("ROADSTEAD_MASTER_KEY", "aHVzaA==")
    monkeypatch.setenv("ROADSTEAD_MQTTS_PORT", "18883")
    table, as_json, as_file = command("settings"), command("settings", "--json"), command("settings", "--print")
    for one in all_settings():
        assert f"{one.variable}=" in table.out
        assert one.help.text in table.out
    assert "ROADSTEAD_MQTTS_PORT=18883" in table.out
    assert "ROADSTEAD_DATABASE_URL=(set)" in table.out
    assert {row["variable"]: row["value"] for row in as_json.json}["ROADSTEAD_MASTER_KEY"] == "(set)"
    for said in (table, as_json, as_file):
        assert said.code == 0
        assert "hush" not in said.out
        assert "aHVzaA" not in said.out


def test_the_printed_settings_are_a_settings_file(
    command: Roadstead, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSTEAD_EXPOSE_API_DOCS", "false")
    monkeypatch.setenv("ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE", "7")
    file = tmp_path / "roadstead.toml"
    file.write_text(command("settings", "--print").out)
    found = read_settings({}, file=file)
    assert found == read_settings(
        {
            "ROADSTEAD_DATA_DIR": str(nowhere),
            "ROADSTEAD_EXPOSE_API_DOCS": "false",
            "ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE": "7",
        }
    )


def test_the_doctor_speaks_where_nothing_runs_and_makes_nothing(command: Roadstead, nowhere: Path) -> None:
    said = command("doctor")
    assert said.code == 0
    assert "it is made by 'roadstead up'" in said.out
    assert not nowhere.exists()


def test_the_doctor_says_which_setting_is_wrong(command: Roadstead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSTEAD_MQTT_PROT", "1883")
    said = command("doctor", "--json")
    assert said.code == 1
    found = {one["name"]: one for one in said.json}
    assert found["settings"]["verdict"] == "fail"
    assert "did you mean ROADSTEAD_MQTT_PORT?" in found["settings"]["detail"]


def test_the_doctor_says_that_durability_is_not_insisted_on(
    command: Roadstead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSTEAD_UNSAFE", "true")
    assert {one["name"]: one["verdict"] for one in command("doctor", "--json").json}["unsafe"] == "warn"
