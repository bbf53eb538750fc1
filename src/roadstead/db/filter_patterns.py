"""Text patterns of filters as SQL conditions, and what no value of a filter may be."""

import math
import re

from roadstead.db.listing import Condition
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import MAX_PATTERN, Match, MatchKind, Path, Scalar

# Back-references and look-around would take PostgreSQL's engine out of linear time; an option, our anchors apart.
_DANGEROUS = re.compile(r"\\[1-9]|\(\?(?!:)|^\*\*\*")


def match_text(leaf: Match, text: str) -> Condition:
    """`text` is SQL for the text to be looked at."""
    if len(leaf.pattern) > MAX_PATTERN:
        raise wrong(leaf.field, f"takes patterns of at most {MAX_PATTERN} characters")
    check_scalar(leaf.field, leaf.pattern)
    match leaf.kind:
        case MatchKind.WILDCARD if leaf.ignore_case:
            return Condition(f"lower({text}) LIKE lower(%s)", (_like(leaf.pattern),))
        case MatchKind.WILDCARD:
            return Condition(f"{text} LIKE %s", (_like(leaf.pattern),))
        case MatchKind.REGEX:
            _check_regex(leaf)
            return Condition(f"{text} {'~*' if leaf.ignore_case else '~'} %s", (f"^(?:{leaf.pattern})$",))
        case MatchKind.PHRASE:
            return Condition(f"lower({text}) ~ %s", (_phrase(leaf.pattern.lower()),))
        case MatchKind.TEXT:
            raise wrong(leaf.field, "is not made for text search")


def _phrase(words: str) -> str:
    plain = "".join(letter if letter.isalnum() else f"\\{letter}" for letter in words)
    return f"(^|[^[:alnum:]]){plain}($|[^[:alnum:]])"


def _check_regex(leaf: Match) -> None:
    if _DANGEROUS.search(leaf.pattern):
        raise wrong(leaf.field, "takes no back-references, look-around or options in a regular expression")
    try:
        re.compile(leaf.pattern)  # never run: it must be one by itself, or it could close the group we put around it
    except (re.error, RecursionError, OverflowError) as error:
        raise wrong(leaf.field, f"is not a regular expression: {error}") from error


def _like(wildcard: str) -> str:
    pieces, plain = [], False
    for letter in wildcard:
        if plain:
            pieces.append(f"\\{letter}" if letter in "%_\\" else letter)
            plain = False
        elif letter == "\\":
            plain = True
        else:
            pieces.append({"*": "%", "?": "_", "%": "\\%", "_": "\\_"}.get(letter, letter))
    return "".join(pieces) + ("\\\\" if plain else "")


def check_scalar(field: Path, value: Scalar) -> None:
    """Raises `Invalid` for what no column holds."""
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(field, "cannot be compared with an infinite number")
    if isinstance(value, str) and "\0" in value:
        raise wrong(field, "cannot be compared with text that holds a zero byte")


def wrong(field: Path, detail: str) -> Invalid:
    """What is said of a field of a filter."""
    return Invalid.field("/".join(field), detail, place="filter")
