"""Answers that say that something is done."""

from uuid import UUID

import msgspec

from roadstead.kernel.ids import to_base62


class Deleted(msgspec.Struct, frozen=True):
    """`Deleted`."""

    id: str
    status: int = 200
    deleted: bool = True

    @classmethod
    def of(cls, id_: UUID) -> "Deleted":
        return cls(to_base62(id_))


class Status(msgspec.Struct, frozen=True):
    """`Status`."""

    status: int = 200
