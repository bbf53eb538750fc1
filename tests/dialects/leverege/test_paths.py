"""Interface paths."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.dialects.leverege.paths import INTERFACE, Form, Place, parse_place

_WORDS = {"create", "getDeviceByNetworkAlias", "history", "events"}
_SUFFIXES = (".search", ".model", ".users", ".rsrc", ".srv")

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda name: name not in _WORDS and not name.endswith(_SUFFIXES)
)
groups = st.lists(st.tuples(names, names), max_size=5).map(tuple)
some = settings(max_examples=50)


def spelled(*names: str) -> str:
    return INTERFACE + "/".join(quote(name, safe="") for name in names)


def flat(way: tuple[tuple[str, str], ...]) -> list[str]:
    return [name for pair in way for name in pair]


@some
@given(names, names, groups, st.none() | names)
def test_a_path_names_its_system_its_blueprint_and_the_groups_it_goes_through_however_many(
    system: str, blueprint: str, way: tuple[tuple[str, str], ...], last: str | None
) -> None:
    place = parse_place(spelled(system, blueprint, *flat(way), *([last] if last else [])))
    forms = {
        (False, False): Form.LIST,
        (False, True): Form.OBJECT,
        (True, False): Form.GROUP,
        (True, True): Form.MEMBER,
    }
    form = forms[bool(way), last is not None]
    assert place == Place(form=form, system=system, blueprint=blueprint, way=way, object=last)


@some
@given(names, names, groups, names, st.sampled_from(["search", "model", "users"]))
def test_a_suffix_is_glued_to_the_last_name(
    system: str, blueprint: str, way: tuple[tuple[str, str], ...], last: str, suffix: str
) -> None:
    of_many = parse_place(spelled(system, blueprint, *flat(way)) + f".{suffix}")
    of_one = parse_place(spelled(system, blueprint, *flat(way), last) + f".{suffix}")
    forms = {"search": (Form.SEARCH, Form.GROUP_SEARCH), "model": (Form.MODEL, None), "users": (None, None)}
    form = forms[suffix][bool(way)]
    assert of_many == (form and Place(form=form, system=system, blueprint=blueprint, way=way))
    users = Place(form=Form.USERS, system=system, blueprint=blueprint, way=way, object=last)
    assert of_one == (users if suffix == "users" else None)


@some
@given(names, names, groups, names, st.lists(names, max_size=6))
def test_what_comes_after_a_resource_or_a_service_is_theirs(
    system: str, blueprint: str, way: tuple[tuple[str, str], ...], last: str, rest: list[str]
) -> None:
    head = spelled(system, blueprint, *flat(way), last)
    tail = "".join(f"/{quote(name, safe='')}" for name in rest)
    for suffix, form in (("rsrc", Form.RESOURCE), ("srv", Form.SERVICE)):
        place = parse_place(f"{head}.{suffix}{tail}")
        expected = Place(form=form, system=system, blueprint=blueprint, way=way, object=last, rest=tuple(rest))
        assert place == expected


@some
@given(names, names, groups, names)
def test_reserved_words_are_no_objects(
    system: str, blueprint: str, way: tuple[tuple[str, str], ...], last: str
) -> None:
    head = (system, blueprint, *flat(way))
    of_root = {
        "create": Form.CREATE,
        "getDeviceByNetworkAlias": Form.BY_NETWORK_ALIAS,
        "history": Form.HISTORY,
        "events": Form.EVENTS,
    }
    of_group = {
        "create": Form.GROUP,
        "getDeviceByNetworkAlias": Form.GROUP_BY_NETWORK_ALIAS,
        "history": Form.GROUP_HISTORY,
        "events": Form.GROUP_EVENTS,
    }
    for word, form in (of_group if way else of_root).items():
        assert parse_place(spelled(*head, word)) == Place(form=form, system=system, blueprint=blueprint, way=way)
    for word, form in (("history", Form.OBJECT_HISTORY), ("events", Form.OBJECT_EVENTS)):
        place = parse_place(spelled(*head, last, word))
        assert place == Place(form=form, system=system, blueprint=blueprint, way=way, object=last)


@given(st.text(max_size=80))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    for raw in (text, INTERFACE + text, INTERFACE + "a/b/" + text):
        place = parse_place(raw)
        assert place is None or (place.system and place.blueprint)


def test_the_paths_that_programs_were_seen_to_send() -> None:
    place = parse_place("/v1//interface/s1//hospital/h1/buildings/b1/floors/f1/rooms/r1/dispenser/")
    way = (("h1", "buildings"), ("b1", "floors"), ("f1", "rooms"), ("r1", "dispenser"))
    assert place == Place(form=Form.GROUP, system="s1", blueprint="hospital", way=way)
    assert parse_place("/v1/interface/s1/hospital.search") == Place(form=Form.SEARCH, system="s1", blueprint="hospital")
    rules = parse_place("/v1/interface/s1/tag/t1.rsrc/p/rules/p/safety/p/alerts", "offset=0&limit=9999&children=true")
    keys = ("p", "rules", "p", "safety", "p", "alerts")
    assert rules == Place(form=Form.RESOURCES_BELOW, system="s1", blueprint="tag", way=(), object="t1", rest=keys)
    service = parse_place("/v1/interface/s1/tag/t1.srv/reports/daily.search/x")
    assert service is not None and (service.form, service.rest) == (Form.SERVICE, ("reports", "daily.search", "x"))
    every = parse_place("/v1/interface/s1/hospital/*/floors.search")
    assert every == Place(form=Form.GROUP_SEARCH, system="s1", blueprint="hospital", way=(("*", "floors"),))


@pytest.mark.parametrize(
    "raw",
    ["/v1/interface", "/v1/interface/", "/v1/interface/s1", "/v1/device/d1", "/v1/interface/s1/.search", "", "/"],
)
def test_what_is_no_interface_path(raw: str) -> None:
    assert parse_place(raw) is None
