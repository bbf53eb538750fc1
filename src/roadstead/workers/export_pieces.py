"""Exports in pieces: what was answered is put aside as it comes, so that nobody has to ask for it again."""

import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from roadstead.core import exports, files
from roadstead.core.exports import Job, Piece
from roadstead.core.files import CannotBeMade, JobClaim
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.errors import NotFound
from roadstead.workers.export_course import Answer, Course, Rest

_MOST_BYTES = 8_388_608
"""A piece is over when it has so many, some MB more or less."""
_LONGEST_S = 60.0
"""Or when it has taken so long: so much, at most, is done again after a crash."""
_AT_ONCE_BYTES = 1_048_576
_LENGTH_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode
_read_rest = msgspec.msgpack.Decoder(Rest).decode
_read_answer = msgspec.msgpack.Decoder(Answer).decode


class Superseded(Exception):
    """The export is not in the hands of this worker any more."""


class Gathering:
    """Gathers all that an export is about: pieces in the blob store, and in memory what came after the last.

    The file of a piece is named by the lease of its worker, and its row is written in the transaction that finds the
    lease good. So no two workers write one file, and none adds to what another has begun to go on with. In it are what
    is left after it, then its answers, each with its length in front.
    """

    def __init__(self, database: Database, ports: Ports, job: Job) -> None:
        self._database = database
        self._ports = ports
        self._job = job
        self._pieces = list(job.pieces)
        self._tail: list[bytes] = []
        self._before = sum(piece.readings for piece in job.pieces)
        self._course: Course | None = None

    @property
    def readings(self) -> int:
        """How many are gathered so far."""
        return self._before + (self._course.readings if self._course else 0)

    async def run(self) -> None:
        """Ask for what is left. Raises `Superseded`, and `CannotBeMade` when a piece is gone."""
        rest = await self._find_rest()
        self._course = course = Course(self._database, self._ports.telemetry, self._job, rest)
        size, began = 0, time.monotonic()
        async for answer in course.steps():
            if answer is not None:
                self._tail.append(_encode(answer))
                size += len(self._tail[-1])
            if size >= _MOST_BYTES or time.monotonic() > began + _LONGEST_S:
                await self._put_aside(course)
                size, began = 0, time.monotonic()

    async def answers(self) -> AsyncIterator[Answer]:
        """What was gathered, in order; the store is not asked."""
        for piece in self._pieces:
            contents = self._read(piece)
            await anext(contents)  # What was left after it.
            async for content in contents:
                yield _read_answer(content)
        for content in self._tail:
            yield _read_answer(content)

    async def _find_rest(self) -> Rest:
        if not self._pieces:
            return Rest()
        return _read_rest(await anext(self._read(self._pieces[-1])))

    async def _read(self, piece: Piece) -> AsyncIterator[bytes]:
        try:
            async for content in _unpack(self._ports.blobs.read(piece_key(self._job, piece))):
                yield content
        except NotFound as error:
            raise CannotBeMade("a part of it that was finished is gone; export again") from error

    async def _put_aside(self, course: Course) -> None:
        job = self._job
        before = sum(piece.readings for piece in self._pieces)
        piece = Piece(number=len(self._pieces) + 1, lease=job.lease, readings=self.readings - before)
        await self._ports.blobs.put(piece_key(job, piece), _pack([_encode(course.rest), *self._tail]))
        async with self._database.tx() as tx:
            if not await exports.add_piece(tx, job, piece, readings=self.readings):
                raise Superseded
        self._pieces.append(piece)
        self._tail.clear()


def piece_key(claim: JobClaim, piece: Piece) -> str:
    """Where a piece lies in the blob store."""
    return files.blob_key(claim.organization_id, exports.piece_name(claim.id, piece.lease, piece.number))


async def _pack(contents: Sequence[bytes]) -> AsyncIterator[bytes]:
    together = bytearray()
    for content in contents:
        together += len(content).to_bytes(_LENGTH_BYTES) + content
        if len(together) >= _AT_ONCE_BYTES:
            yield bytes(together)
            together.clear()
    yield bytes(together)


async def _unpack(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    together = bytearray()
    async for part in parts:
        together += part
        while len(together) >= (end := _LENGTH_BYTES + int.from_bytes(together[:_LENGTH_BYTES])):
            yield bytes(together[_LENGTH_BYTES:end])
            del together[:end]
    if together:
        raise RuntimeError("a piece of an export ends in the middle of an answer")
