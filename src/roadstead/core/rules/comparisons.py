"""Operators of the condition language: what they compare with, which sensors they fit, and how they hold on."""

import operator
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
import re2

from roadstead.core.messages import Value, ValueType
from roadstead.kernel.errors import FieldProblem

MOST_LISTED = 100
MAX_TEXT = 1_000

NUMBERS = frozenset({ValueType.DOUBLE, ValueType.BIGINT})
BOOLEANS = frozenset({ValueType.BOOLEAN})
TEXTS = frozenset({ValueType.TEXT})
ANY_TYPE = frozenset(ValueType)

Predicate = Callable[[Any], bool]


class Operator(StrEnum):
    """How a value is compared (contract section 4)."""

    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    EQ = "EQ"
    NEQ = "NEQ"
    BETWEEN = "BETWEEN"
    OUTSIDE = "OUTSIDE"
    IS_TRUE = "IS_TRUE"
    IS_FALSE = "IS_FALSE"
    CONTAINS = "CONTAINS"
    NOT_CONTAINS = "NOT_CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    IN = "IN"
    NOT_IN = "NOT_IN"
    MATCHES = "MATCHES"


_LEVELS = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})
_RANGES = frozenset({Operator.BETWEEN, Operator.OUTSIDE})
_FLAGS = frozenset({Operator.IS_TRUE, Operator.IS_FALSE})
_EQUAL = frozenset({Operator.EQ, Operator.NEQ})
_LISTS = frozenset({Operator.IN, Operator.NOT_IN})


class Comparison(msgspec.Struct, frozen=True):
    """One comparison: with nothing, a value, two values, or a list of values."""

    operator: Operator
    value: Value | list[float | int | str] | None = None
    value2: float | int | None = None
    hysteresis: float = 0.0

    @property
    def threshold(self) -> Any:
        """What an alert shows as its threshold."""
        return [self.value, self.value2] if self.operator in _RANGES else self.value

    def check(self, pointer: str) -> list[FieldProblem]:
        """What is wrong with it; `pointer` is where it stands."""
        problems = []
        wanted = self._wanted()
        if wanted:
            problems.append(FieldProblem(f"{pointer}/value", "invalid", f"{self.operator} takes {wanted}"))
        if self.operator in _RANGES:
            if not _is_number(self.value2):
                problems.append(FieldProblem(f"{pointer}/value2", "invalid", f"{self.operator} takes a number"))
            elif not problems and self.value > self.value2:  # type: ignore[operator]
                problems.append(FieldProblem(f"{pointer}/value2", "invalid", "is less than value"))
        elif self.value2 is not None:
            problems.append(FieldProblem(f"{pointer}/value2", "invalid", f"{self.operator} takes no second value"))
        if self.hysteresis and self.operator not in _LEVELS | _RANGES:
            problems.append(FieldProblem(f"{pointer}/hysteresis", "invalid", f"means nothing for {self.operator}"))
        elif self.hysteresis < 0:
            problems.append(FieldProblem(f"{pointer}/hysteresis", "range", "must not be negative"))
        if self.operator is Operator.MATCHES and not problems:
            problems += _check_pattern(f"{pointer}/value", str(self.value))
        return problems

    def _wanted(self) -> str:
        """What the value would have to be; empty when it is."""
        value = self.value
        if self.operator in _FLAGS:
            return "" if value is None else "no value"
        if self.operator in _LEVELS | _RANGES:
            return "" if _is_number(value) else "a number"
        if self.operator in _LISTS:
            if isinstance(value, list) and 1 <= len(value) <= MOST_LISTED:
                fits = all(_is_number(item) for item in value) or all(_is_text(item) for item in value)
                return "" if fits else "a list of numbers or of texts"
            return f"a list of 1 to {MOST_LISTED} numbers or texts"
        if self.operator in _EQUAL:
            return (
                "" if isinstance(value, bool) or _is_number(value) or _is_text(value) else "a number, boolean or text"
            )
        return "" if _is_text(value) else f"a text of at most {MAX_TEXT} characters"

    @property
    def types(self) -> frozenset[ValueType]:
        """The types of values that can be compared so."""
        sample = self.value[0] if isinstance(self.value, list) else self.value
        if self.operator in _FLAGS or isinstance(sample, bool):
            return BOOLEANS
        return TEXTS if isinstance(sample, str) else NUMBERS

    def enters(self) -> Predicate:
        """True for a value that makes it true."""
        return _MAKERS[self.operator](self.value, self.value2, 0.0)

    def stays(self) -> Predicate:
        """True for a value that keeps it true: with hysteresis, that of a wider range."""
        return _MAKERS[self.operator](self.value, self.value2, self.hysteresis)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value


def _check_pattern(pointer: str, pattern: str) -> list[FieldProblem]:
    try:
        compile_pattern(pattern)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return [FieldProblem(pointer, "invalid", f"is not a regular expression (RE2 syntax): {text}")]
    return []


def compile_pattern(pattern: str) -> Any:
    """RE2 takes time linear in the text, whatever the pattern, and refuses what could not be."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(pattern, options)


def _listed(values: Any, *, wanted: bool) -> Predicate:
    listed = frozenset(values)
    return listed.__contains__ if wanted else lambda value: value not in listed


def _matching(pattern: str) -> Predicate:
    compiled = compile_pattern(pattern)
    return lambda value: compiled.fullmatch(value) is not None


# Each of its first and second value and the slack. With slack, a limit itself keeps true what only passing it made so.
_MAKERS: dict[Operator, Callable[[Any, Any, float], Predicate]] = {
    Operator.GT: lambda low, _, slack: (lambda value: value >= low - slack) if slack else (lambda value: value > low),
    Operator.GTE: lambda low, _, slack: lambda value: value >= low - slack,
    Operator.LT: lambda high, _, slack: (
        (lambda value: value <= high + slack) if slack else (lambda value: value < high)
    ),
    Operator.LTE: lambda high, _, slack: lambda value: value <= high + slack,
    Operator.BETWEEN: lambda low, high, slack: lambda value: low - slack <= value <= high + slack,
    Operator.OUTSIDE: lambda low, high, slack: (
        (lambda value: value <= low + slack or value >= high - slack)
        if slack
        else (lambda value: value < low or value > high)
    ),
    Operator.EQ: lambda wanted, _, __: lambda value: value == wanted,
    Operator.NEQ: lambda wanted, _, __: lambda value: value != wanted,
    Operator.IS_TRUE: lambda _, __, ___: operator.truth,
    Operator.IS_FALSE: lambda _, __, ___: operator.not_,
    Operator.CONTAINS: lambda part, _, __: lambda value: part in value,
    Operator.NOT_CONTAINS: lambda part, _, __: lambda value: part not in value,
    Operator.STARTS_WITH: lambda head, _, __: lambda value: value.startswith(head),
    Operator.IN: lambda values, _, __: _listed(values, wanted=True),
    Operator.NOT_IN: lambda values, _, __: _listed(values, wanted=False),
    Operator.MATCHES: lambda pattern, _, __: _matching(pattern),
}
