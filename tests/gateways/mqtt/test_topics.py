"""Filters and topics, with the examples of the standard."""

import pytest

from roadstead.kernel.topics import matches


@pytest.mark.parametrize(
    ("filter_", "topic"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "sport"),
        ("#", "/"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("+/tennis/#", "sport/tennis/player1"),
        ("$SYS/#", "$SYS/monitor/Clients"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
    ],
)
def test_a_filter_is_about_a_topic(filter_: str, topic: str) -> None:
    assert matches(filter_, topic)


@pytest.mark.parametrize(
    ("filter_", "topic"),
    [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("sport/#", "sports"),
        ("sport/tennis/#", "sport"),
        ("ACCOUNTS", "Accounts"),
        ("sport", "sport/"),
        ("#", "$SYS/monitor/Clients"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
    ],
)
def test_a_filter_is_not_about_a_topic(filter_: str, topic: str) -> None:
    """[MQTT-4.7.2-1] [MQTT-4.7.3-4]."""
    assert not matches(filter_, topic)
