"""What can go wrong, in about ten kinds. Each dialect has its own word for each; the core raises kinds, never statuses.

`code` is the short machine word of the native contract (section 9); `fields` name what is wrong with the input.
"""

from collections.abc import Sequence

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with one input field."""

    pointer: str
    """JSON pointer into the body (RFC 6901), or the name of a parameter when `place` says so."""
    code: str
    detail: str
    place: str = "body"
    """`body`, `query`, `path` or `header`."""


class RoadsteadError(Exception):
    """Something a caller can be told. `str(error)` is for anyone to read."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None, fields: Sequence[FieldProblem] = ()) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.fields = tuple(fields)


class Malformed(RoadsteadError):
    """The request cannot be parsed at all."""

    code = "invalid-request"


class Invalid(RoadsteadError):
    """The request was understood and breaks a rule; `fields` say which."""

    code = "validation-failed"

    @classmethod
    def field(cls, pointer: str, detail: str, *, code: str = "invalid", place: str = "body") -> "Invalid":
        """The common case: one field, one reason."""
        problem = FieldProblem(pointer, code, detail, place)
        name = pointer.lstrip("/") or "body"
        return cls(f"{name}: {detail}", fields=[problem])


class Unauthenticated(RoadsteadError):
    """Nobody we know, or the credential is no longer good."""

    code = "unauthenticated"


class Forbidden(RoadsteadError):
    """Known, and not allowed."""

    code = "forbidden"


class NotFound(RoadsteadError):
    """It is not there, or the caller may not know that it is."""

    code = "not-found"

    def __init__(self, what: str, id_: object = "", *, code: str | None = None) -> None:
        super().__init__(f"{what} {id_} does not exist".replace("  ", " "), code=code)
        self.what = what


class Gone(RoadsteadError):
    """It was there once and will not come back."""

    code = "gone"


class Conflict(RoadsteadError):
    """It contradicts what is already there."""

    code = "conflict"

    @classmethod
    def taken(cls, what: str, field: str, value: object, *, code: str = "name-taken") -> "Conflict":
        """A value that must be unique already is in use."""
        problem = FieldProblem(f"/{field}", code, "is already in use")
        return cls(f"{what} with {field} '{value}' already exists", code=code, fields=[problem])


class PreconditionFailed(RoadsteadError):
    """The caller's picture of the thing is stale, or a condition is missing."""

    code = "precondition-failed"


class TooLarge(RoadsteadError):
    """More than a limit allows in one piece."""

    code = "too-large"


class TooMany(RoadsteadError):
    """More than a limit allows in this time; `retry_after_s` says when to come back."""

    code = "rate-limited"

    def __init__(self, message: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(RoadsteadError):
    """A part of the platform is away for now; nothing was changed."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
