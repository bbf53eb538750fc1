"""Which values are over when others are said."""

from roadstead.core.telemetry.replacing import find_removed

KNOWN = ["air", "air.co2", "air.voc", "air/voc", "airs", "list[0]", "list[1]", "list[2]", "people", "configuration/air"]


def test_what_lies_beside_a_value_stays() -> None:
    assert find_removed([], ["air.co2", "people"], KNOWN) == ["air"]


def test_a_value_takes_the_place_of_all_below_it() -> None:
    assert find_removed([], ["air"], KNOWN) == ["air.co2", "air.voc", "air/voc"]


def test_a_shorter_list_has_lost_its_last_items() -> None:
    assert find_removed([], ["list[0]"], KNOWN) == ["list[1]", "list[2]"]


def test_members_take_the_place_of_items_and_items_that_of_members() -> None:
    assert find_removed([], ["list.a"], KNOWN) == ["list[0]", "list[1]", "list[2]"]
    assert find_removed([], ["air[0]"], KNOWN) == ["air", "air.co2", "air.voc", "air/voc"]


def test_what_is_removed_goes_with_all_below_but_for_what_is_said() -> None:
    assert find_removed([("air",)], [], KNOWN) == ["air", "air.co2", "air.voc", "air/voc"]
    assert find_removed([("air",)], ["air.co2"], KNOWN) == ["air", "air.voc", "air/voc"]
    assert find_removed([("nothing",), ("list", "0")], [], KNOWN) == []


def test_what_is_configured_is_nobody_elses_to_replace() -> None:
    assert find_removed([("configuration", "air"), ("configuration",)], ["configuration.air"], KNOWN) == []
