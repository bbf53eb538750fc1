"""`expression` of kind queryString: words, quotes, `*`, `?`, AND, OR, NOT and parentheses about one field. Pure."""

import re
from collections.abc import Callable

from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import And, Exists, Filter, Match, MatchKind, Not, Or, Path

_TOKEN = re.compile(r'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|((?:[^\s()"\\]|\\.)+))', re.DOTALL)
_WORDS = {"AND": "AND", "&&": "AND", "OR": "OR", "||": "OR", "NOT": "NOT", "!": "NOT"}
_WILD = re.compile(r"(?<!\\)(?:\\\\)*[*?]")
_MOST_TOKENS = 200
_MOST_DEPTH = 10

Token = tuple[str, str]
"""`(`, `)`, `AND`, `OR`, `NOT`, `phrase` or `word`; and the text of the last two."""


def parse_query(text: str, field: Path, where: str) -> Filter:
    """Words beside each other are or-ed, as the original's engine does; AND binds closer. Case does not count.

    A word with wildcards is held against the whole value; others, and phrases, are looked for in it.
    """
    return _Parser(_tokens(text, where), field, where).parse()


def _tokens(text: str, where: str) -> list[Token]:
    found: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise Invalid.field(where, f"cannot be read from '{text[position:].strip()[:20]}' on")
        mark, phrase, word = match.groups()
        if mark is not None:
            found.append((mark, ""))
        elif phrase is not None:
            found.append(("phrase", phrase))
        else:
            found.append((_WORDS.get(word, "word"), word))
        position = match.end()
    if len(found) > _MOST_TOKENS:
        raise Invalid.field(where, f"has at most {_MOST_TOKENS} words and operators")
    return found


class _Parser:
    def __init__(self, tokens: list[Token], field: Path, where: str) -> None:
        self._tokens = tokens
        self._field = field
        self._where = where
        self._at = 0
        self._depth = 0

    def parse(self) -> Filter:
        """The whole expression."""
        found = self._either()
        if self._at < len(self._tokens):
            raise Invalid.field(self._where, "has a ')' too many")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._peek() not in ("", ")"):
            if self._peek() == "OR":
                self._at += 1
            parts.append(self._both())
        return _joined(parts, Or)

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._peek() == "AND":
            self._at += 1
            parts.append(self._one())
        return _joined(parts, And)

    def _one(self) -> Filter:
        negated = False
        while self._peek() == "NOT":
            negated, self._at = not negated, self._at + 1
        found = self._term()
        return Not(found) if negated else found

    def _term(self) -> Filter:
        token = self._peek()
        text = self._tokens[self._at][1] if token else ""
        self._at += 1
        match token:
            case "(":
                self._depth += 1
                if self._depth > _MOST_DEPTH:
                    raise Invalid.field(self._where, f"is nested at most {_MOST_DEPTH} deep")
                found = self._either()
                if self._peek() != ")":
                    raise Invalid.field(self._where, "lacks a ')'")
                self._at += 1
                self._depth -= 1
                return found
            case "phrase":
                return self._phrase(text)
            case "word" if text.strip("*") == "":
                return Exists(self._field)
            case "word" if _WILD.search(text):
                return Match(self._field, MatchKind.WILDCARD, text, ignore_case=True)
            case "word":
                return self._phrase(text)
        raise Invalid.field(self._where, "lacks a word")

    def _phrase(self, text: str) -> Filter:
        return Match(self._field, MatchKind.PHRASE, re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL))


def _joined(parts: list[Filter], join: Callable[[tuple[Filter, ...]], Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else join(tuple(parts))
