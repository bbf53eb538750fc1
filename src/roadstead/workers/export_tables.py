"""The tables of an export: which columns they have, and the rows that fill them."""

import io
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
from arro3.core import Array, DataType, RecordBatch, Schema
from arro3.core import Field as ArrowField
from arro3.io import read_ipc_stream

from roadstead.core.exports import Field, Strand
from roadstead.core.messages import ValueType
from roadstead.kernel import ids
from roadstead.workers.export_course import Answer

_TEXT, _INSTANT = DataType.utf8(), DataType.timestamp("ms", tz="UTC")
_TYPES = {
    ValueType.DOUBLE: DataType.float64(),
    ValueType.BIGINT: DataType.int64(),
    ValueType.BOOLEAN: DataType.bool(),
    ValueType.TEXT: _TEXT,
}
_BEFORE = ("timestamp", "deviceId", "deviceName", "componentKey")
_AFTER = ("metadata",)
_MOST_ROWS = 65_536
_MOST_CELLS = 4_000_000


class Column(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A column of the readings, as the manifest tells it."""

    name: str
    key: str
    """Of the sensors."""
    value_type: ValueType
    unit: str | None = None


class Described(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A table, as the manifest tells it."""

    rows: int
    columns: list[Column] = []
    """Of what sensors reported."""


def choose_columns(fields: Sequence[Field]) -> list[Column]:
    """One for each field, named by its key; with its type when sensors of one key differ in that."""
    keys = [field.key for field in fields]
    taken = {*_BEFORE, *_AFTER}
    return [
        Column(
            field.key if keys.count(field.key) == 1 and field.key not in taken else f"{field.key}:{field.value_type}",
            field.key,
            field.value_type,
            field.unit,
        )
        for field in fields
    ]


class ReadingsTable:
    """What sensors reported: a row for each instant at which a component (or the device itself) reported something."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._columns = columns = choose_columns(fields)
        self._rows = 0
        self.readings = 0
        """Values, so far."""
        self.schema = Schema(
            [
                ArrowField("timestamp", _INSTANT, nullable=False),
                ArrowField("deviceId", _TEXT, nullable=False),
                ArrowField("deviceName", _TEXT, nullable=False),
                ArrowField("componentKey", _TEXT),
                *(
                    ArrowField(
                        column.name,
                        _TYPES[column.value_type],
                        metadata={"unit": column.unit} if column.unit else None,
                    )
                    for column in columns
                ),
                ArrowField("metadata", _TEXT),
            ]
        )
        self._places = {(column.key, column.value_type): place for place, column in enumerate(columns)}
        self._most_rows = max(1_024, min(_MOST_ROWS, _MOST_CELLS // len(self.schema)))
        self._repeated: dict[str, tuple[str | None, Array]] = {}
        self._nulls = {kind: Array([None] * self._most_rows, type=_TYPES[kind]) for kind in ValueType}

    def describe(self) -> Described:
        """How many rows there are by now, and what is in them."""
        return Described(self._rows, self._columns)

    async def batches(self, answers: AsyncIterator[Answer]) -> AsyncIterator[RecordBatch]:
        """All rows; those of one component of one device together, in order of time."""
        async for answer in answers:
            devices = {ids.to_bytes(id_).hex(): (str(id_), name) for id_, name in answer.strand.devices.items()}
            for rows in self._slices(answer):
                yield self._fill(rows, answer.strand, devices)

    def _slices(self, answer: Answer) -> Iterator[RecordBatch]:
        for batch in read_ipc_stream(io.BytesIO(answer.rows)):
            for start in range(0, batch.num_rows, self._most_rows):
                yield batch.slice(start, min(self._most_rows, batch.num_rows - start))

    def _fill(self, rows: RecordBatch, strand: Strand, devices: dict[str, tuple[str, str]]) -> RecordBatch:
        """Rows of a strand with all columns of the table."""
        length, digits = rows.num_rows, rows["digits"]
        first, last = digits[0].as_py(), digits[length - 1].as_py()
        if first == last:  # They are in order, so all are of one device, as most are where there are many.
            id_, name = devices[first]
            ids_, names = self._repeat("id", id_, length), self._repeat("name", name, length)
        else:
            owners = [devices[each] for each in digits.to_pylist()]
            ids_, names = (Array([owner[part] for owner in owners], type=_TEXT) for part in (0, 1))
        values = [self._nulls[column.value_type].slice(0, length) for column in self._columns]
        for position, column in enumerate(strand.columns):
            place = self._places.get((column.name, column.value_type))
            if place is not None:  # A sensor that has appeared since the columns were chosen waits for the next export.
                found = rows[str(position)]
                values[place] = found
                self.readings += length - found.null_count
        self._rows += length
        return RecordBatch.from_arrays(
            [
                rows["at"],
                ids_,
                names,
                self._repeat("component", strand.component_key, length),
                *values,
                rows["metadata"],
            ],
            schema=self.schema,
        )

    def _repeat(self, what: str, text: str | None, length: int) -> Array:
        """A text so many times; the last of each kind is kept."""
        known = self._repeated.get(what)
        if known is None or known[0] != text:
            known = self._repeated[what] = text, Array([text] * self._most_rows, type=_TEXT)
        return known[1].slice(0, length)


ANNOTATIONS = Schema(
    [
        ArrowField("id", _TEXT, nullable=False),
        ArrowField("classId", _TEXT, nullable=False),
        ArrowField("scopeType", _TEXT, nullable=False),
        ArrowField("scopeId", _TEXT, nullable=False),
        ArrowField("startAt", _INSTANT, nullable=False),
        ArrowField("endAt", _INSTANT),
        ArrowField("values", _TEXT, nullable=False),
        ArrowField("source", _TEXT, nullable=False),
        ArrowField("sourceRef", _TEXT),
        ArrowField("confidence", DataType.float64()),
        ArrowField("comment", _TEXT),
        ArrowField("createdBy", _TEXT, nullable=False),
        ArrowField("createdAt", _INSTANT, nullable=False),
        ArrowField("updatedAt", _INSTANT, nullable=False),
    ]
)
"""Contract schema `Annotation`; `values` is JSON."""


def describe_annotations() -> Described:
    """There are none."""
    return Described(0)


async def no_annotations() -> AsyncIterator[RecordBatch]:
    """This platform keeps no annotations."""
    return
    yield
