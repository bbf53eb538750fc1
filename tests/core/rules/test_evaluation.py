"""The evaluation agrees with the plainest possible one, on any condition and any readings, across restarts."""

import random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.core.messages import ValueType
from roadstead.core.rules.conditions import Leaf, read_condition
from roadstead.core.rules.evaluation import RulePlan, Watch
from roadstead.core.rules.windows import FOLDS, PANES, Window, WindowFunction
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import SensorId, TenantId
from tests.core.rules.oracle import Heard, Moment, Oracle

START = 1_700_000_000_000
SENSOR = SensorId(UUID(int=7))

numbers = st.integers(-6, 6).map(float) | st.integers(-6, 6)
durations = st.sampled_from(["PT10S", "PT30S", "PT1M", "PT1H"])


_EQUALS = ["EQ", "NEQ", "CONTAINS", "NOT_CONTAINS", "STARTS_WITH"]
_HELD = st.fixed_dictionaries({}, optional={"for": st.sampled_from(["PT1S", "PT20S", "PT5M"])})
_SAMPLES = st.fixed_dictionaries({}, optional={"minSamples": st.integers(1, 3)})


def _compared(operators: list[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"operator": st.sampled_from(operators), "value": value})


def _with(first: st.SearchStrategy[dict[str, Any]], *more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """All members of all of these."""
    parts = [one if isinstance(one, st.SearchStrategy) else st.fixed_dictionaries(one) for one in (first, *more)]
    return st.tuples(*parts).map(lambda found: {key: value for part in found for key, value in part.items()})


def _compared_texts() -> st.SearchStrategy[dict[str, Any]]:
    words = st.sampled_from(["a", "ab", "b", ""])
    return st.one_of(
        _compared(_EQUALS, words),
        _compared(["IN", "NOT_IN"], st.lists(words, min_size=1, max_size=2)),
        _compared(["MATCHES"], st.sampled_from(["a+b?", "[ab]", ".*"])),
    )


def _compared_numbers(*, hysteresis: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    slack = st.fixed_dictionaries({}, optional={"hysteresis": st.sampled_from([0.5, 2])}) if hysteresis else st.just({})
    ranges = st.tuples(numbers, st.integers(0, 4)).map(lambda ends: {"value": ends[0], "value2": ends[0] + ends[1]})
    return st.one_of(
        _with(_compared(["GT", "GTE", "LT", "LTE"], numbers), slack),
        _compared(["EQ", "NEQ"], numbers),
        _with(ranges, {"operator": st.sampled_from(["BETWEEN", "OUTSIDE"])}, slack),
        _compared(["IN", "NOT_IN"], st.lists(numbers, min_size=1, max_size=3)),
    )


def _aggregated(functions: list[str], *more: Any) -> st.SearchStrategy[dict[str, Any]]:
    window = {"type": st.just("AGGREGATE"), "function": st.sampled_from(functions), "window": durations}
    return _with(st.fixed_dictionaries(window), _HELD, *more)


def _leaves(type_: ValueType) -> st.SearchStrategy[dict[str, Any]]:
    compared = _compared_numbers()
    if type_ is ValueType.TEXT:
        compared = _compared_texts()
    elif type_ is ValueType.BOOLEAN:
        compared = st.sampled_from(
            [{"operator": "IS_TRUE"}, {"operator": "IS_FALSE"}, {"operator": "EQ", "value": False}]
        )
    plain = compared.map(lambda found: {key: value for key, value in found.items() if key != "hysteresis"})
    where: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries({"where": plain})
    kinds = [
        _with(compared, {"type": st.just("VALUE")}, _HELD),
        st.fixed_dictionaries({"type": st.just("ABSENCE"), "for": durations}),
        _aggregated(["COUNT"], _compared_numbers(), where),
        _aggregated(["LAST"], compared),
    ]
    if type_ in (ValueType.DOUBLE, ValueType.BIGINT):
        kinds.append(_aggregated(["AVG", "MIN", "MAX", "SUM", "DELTA"], compared, _SAMPLES))
        # No deviation of whole numbers is just as large: what rounding does to the last digit makes no difference.
        kinds.append(_aggregated(["STDDEV"], _compared(["GT", "LT"], st.sampled_from([0.123, 1.123, 3.123])), _SAMPLES))
        rate = {"type": st.just("RATE"), "per": st.just("PT1M"), "window": durations}
        kinds.append(_with(compared, rate, _HELD))
    return st.one_of(kinds)


def _conditions(type_: ValueType) -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        _leaves(type_),
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=3,
    )


VALUES: dict[ValueType, list[Any]] = {
    ValueType.DOUBLE: [float(number) for number in range(-7, 8)],
    ValueType.BIGINT: list(range(-7, 8)),
    ValueType.BOOLEAN: [True, False],
    ValueType.TEXT: ["a", "ab", "b", "", "aab"],
}
_WAITS = [0, 1, 700, 5_000, 10_000, 29_999, 60_000, 240_000]
_AGES = [None, None, 0, 0, 0, 1, 3_000, -3_000, 60_000]
"""How much older a reading is than its arrival; None: no reading, only time goes on."""


class Story(msgspec.Struct, frozen=True):
    """A rule, and what happens to it, told from a seed."""

    type: ValueType
    condition: dict[str, Any]
    cooldown_s: int
    auto_resolve: bool
    seed: int


def stories() -> st.SearchStrategy[Story]:
    """Any."""
    return st.sampled_from(list(ValueType)).flatmap(
        lambda type_: st.builds(
            Story,
            st.just(type_),
            _CONDITIONS[type_],
            st.sampled_from([0, 30, 300]),
            st.booleans(),
            st.integers(0, 1_000_000),
        )
    )


_CONDITIONS = {type_: _conditions(type_) for type_ in ValueType}


@given(stories())
@settings(max_examples=200)
def test_the_evaluation_does_what_the_language_says_across_restarts(story: Story) -> None:
    try:
        condition = read_condition(story.condition)
    except Invalid:
        return  # For instance conditions that fit no single type: another test is about those.
    plan = RulePlan(UUID(int=1), TenantId(1), condition, cooldown_s=story.cooldown_s, auto_resolve=story.auto_resolve)
    watch = Watch(plan, SENSOR, START)
    oracle = Oracle(condition, START, cooldown_ms=story.cooldown_s * 1_000, auto_resolve=story.auto_resolve)
    wall, chance = START, random.Random(story.seed)
    for _ in range(40):
        wall += chance.choice(_WAITS)
        age, value = chance.choice(_AGES), chance.choice(VALUES[story.type])
        muted = chance.random() < 0.1
        if chance.random() < 0.1:
            kept = msgspec.msgpack.decode(msgspec.msgpack.encode(watch.keep()))
            watch = Watch(plan, SENSOR, START + 1)
            watch.recall(kept)
        places = list(range(len(plan.leaves)))
        if age is None:
            expected = oracle.follow(Moment(wall), muted=muted)
            transition = watch.look(wall, muted=muted)
        else:
            at = wall - age
            news = watch.read(places, at, wall, value)
            transition = watch.look(wall, muted=muted) if news else None
            expected = _tell(oracle, places, Heard(at, wall, value), wall, muted=muted)
        assert (transition.turn if transition else None) == expected, story
        assert watch.is_open == oracle.open


def _tell(oracle: Oracle, places: list[int], heard: Heard, wall: int, *, muted: bool) -> str | None:
    """A reading that all leaves are about: what happens when all of them have heard it."""
    if oracle.heard[0] and heard.at <= oracle.heard[0][-1].at:
        return None
    for place in places:
        oracle.hear(place, heard)
    return oracle.follow(Moment(wall), muted=muted)


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.floats(-1e6, 1e6)), max_size=400), st.sampled_from([10_000, 64_000])
)
@settings(max_examples=50)
def test_a_window_never_holds_more_than_its_parts(readings: list[tuple[int, float]], length_ms: int) -> None:
    for function in WindowFunction:
        window, at = Window(length_ms, FOLDS[function]), START
        for wait, value in readings:
            at += wait
            window.add(at, value)
            assert len(window.keep()[0]) <= PANES + 2
        window.trim(at + 2 * length_ms)
        assert window.result(0) in (None, 0)


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time() -> None:
    leaf = read_condition({"type": "VALUE", "operator": "MATCHES", "value": "(a+)+b|(a|aa)*c"})
    assert isinstance(leaf, Leaf)
    assert leaf.comparison is not None
    matches = leaf.comparison.enters()
    assert [matches("a" * 1_000), matches("aaab"), matches("xaaab")] == [False, True, False]


VALUE = {"type": "VALUE", "operator": "GT", "value": 1}
WINDOW = {"type": "AGGREGATE", "function": "AVG", "window": "PT1M", "operator": "GT", "value": 1}


@pytest.mark.parametrize(
    ("condition", "pointers"),
    [
        ([], ["/condition"]),
        ({}, ["/condition/type"]),
        ({"type": "VALUE"}, ["/condition/operator"]),
        (VALUE | {"operator": "ALIKE"}, ["/condition/operator"]),
        (VALUE | {"value": "x"}, ["/condition/value"]),
        (VALUE | {"value": True}, ["/condition/value"]),
        (VALUE | {"value2": 3}, ["/condition/value2"]),
        (VALUE | {"operator": "BETWEEN"}, ["/condition/value2"]),
        (VALUE | {"operator": "BETWEEN", "value2": 0}, ["/condition/value2"]),
        (VALUE | {"operator": "EQ", "hysteresis": 1}, ["/condition/hysteresis"]),
        (VALUE | {"hysteresis": -1}, ["/condition/hysteresis"]),
        (VALUE | {"operator": "IS_TRUE"}, ["/condition/value"]),
        (VALUE | {"operator": "IN", "value": [1, "a"]}, ["/condition/value"]),
        (VALUE | {"operator": "IN", "value": []}, ["/condition/value"]),
        (VALUE | {"operator": "MATCHES", "value": "(?=a)"}, ["/condition/value"]),
        (VALUE | {"operator": "MATCHES", "value": "(a"}, ["/condition/value"]),
        (VALUE | {"for": "5 minutes"}, ["/condition/for"]),
        (VALUE | {"for": "P1M"}, ["/condition/for"]),
        (VALUE | {"window": "PT1M"}, ["/condition/window"]),
        (VALUE | {"sensor": {"field": 1}}, ["/condition/sensor"]),
        (VALUE | {"sensor": {"sensorId": "x"}}, ["/condition/sensor/sensorId"]),
        (WINDOW | {"window": "PT9S"}, ["/condition/window"]),
        (WINDOW | {"window": "P8D"}, ["/condition/window"]),
        (WINDOW | {"function": "MODE"}, ["/condition/function"]),
        (WINDOW | {"function": "COUNT", "minSamples": 2}, ["/condition/minSamples"]),
        (WINDOW | {"minSamples": 0}, ["/condition/minSamples"]),
        (WINDOW | {"where": {"operator": "GT", "value": 1}}, ["/condition/where"]),
        (WINDOW | {"function": "COUNT", "where": {"operator": "GT"}}, ["/condition/where/value"]),
        (WINDOW | {"operator": "CONTAINS", "value": "x"}, ["/condition/operator"]),
        ({"type": "RATE", "window": "PT1M", "operator": "GT", "value": 1}, ["/condition/per"]),
        ({"type": "ABSENCE"}, ["/condition/for"]),
        ({"type": "ABSENCE", "for": "PT1M", "value": 3}, ["/condition/value"]),
        ({"all": []}, ["/condition/all"]),
        ({"all": [VALUE], "any": [VALUE]}, ["/condition"]),
        ({"all": [VALUE, {"type": "VALUE"}, {"not": {}}]}, ["/condition/all/1/operator", "/condition/all/2/not/type"]),
        ({"all": [VALUE, {"type": "VALUE", "operator": "IS_TRUE"}]}, ["/condition"]),
        ({"not": {"not": {"not": {"not": {"not": VALUE}}}}}, ["/condition/not/not/not/not"]),
        ({"all": [{"any": [VALUE] * 11}, {"any": [VALUE] * 10}]}, ["/condition"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_is_pointed_at(condition: Any, pointers: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read_condition(condition)
    assert [field.pointer for field in refused.value.fields] == pointers
