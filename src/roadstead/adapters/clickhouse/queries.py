"""Every statement about points. Reads go through the view `point_of` and so cannot leave out the tenant.

A key that was written twice lies there twice until parts are merged. Reads see to it themselves that the newest by
receive time counts: those of whole ranges by FINAL, which costs next to nothing where parts do not overlap; pages,
which end long before their range does, by `LIMIT 1 BY`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.transport import Parameters
from roadstead.core.messages import ValueType
from roadstead.core.ports import Function, PointPosition, RowColumn, Series, TimeAt
from roadstead.kernel.ids import DeviceId, TenantId, to_bytes

_Values = dict[str, str | int | Sequence[Any]]

VIEW = "point_of(tenant = {tenant:UInt32})"

_POINT = "lower(hex(device)), path, toUnixTimestamp64Milli(at), number, text, meta, toUnixTimestamp64Milli(received)"
_CONTENT = "tuple(toUnixTimestamp64Milli(at), number, text, meta, toUnixTimestamp64Milli(received))"
_DEVICE = "toFixedString(unhex({device:String}), 12)"


class Query(NamedTuple):
    """A statement and its parameters."""

    sql: str
    parameters: Parameters


class Range(NamedTuple):
    """Which points a query is about. Times in ms since 1970, `start` inclusive, `end` exclusive, None: open."""

    tenant: TenantId
    series: Sequence[Series]
    start: int | None = None
    end: int | None = None


def select_points(range_: Range, *, limit: int, descending: bool, after: PointPosition | None) -> Query:
    """Points of the paths of one device, in order of time, then path."""
    where, parameters = _where(range_)
    return _page(where, parameters, limit=limit, descending=descending, after=after)


def select_device_points(
    range_: Range, device: DeviceId, prefix: str, *, limit: int, descending: bool, after: PointPosition | None
) -> Query:
    """The same of all paths with a prefix; the platform's own (`$...`) only when the prefix asks for them."""
    time, parameters = _time(range_)
    where = [f"device = {_DEVICE}", *time]
    if prefix:
        where.append("startsWith(path, {prefix:String})")
    if not prefix.startswith("$"):
        where.append("NOT startsWith(path, '$')")
    parameters |= {"device": to_bytes(device).hex(), "prefix": prefix}
    return _page(where, parameters, limit=limit, descending=descending, after=after)


def select_newest(range_: Range) -> Query:
    """The newest point of each series that has one in the range: device, path, content."""
    where, parameters = _where(range_)
    sql = f"""
        SELECT lower(hex(device)), path, argMax({_CONTENT}, tuple(at, received)) FROM {VIEW}
        WHERE {" AND ".join(where)} GROUP BY device, path
    """
    return Query(sql, parameters)


def select_newest_number(range_: Range) -> Query:
    """The same of points with a number."""
    source, parameters = _distinct(range_, "device, path, at, number, text, meta, received")
    sql = f"""
        SELECT lower(hex(device)), path, argMax({_CONTENT}, at) FROM ({source})
        WHERE number IS NOT NULL GROUP BY device, path
    """
    return Query(sql, parameters)


def select_thinned(range_: Range, most: int) -> Query:
    """The points of one series that largest-triangle-three-buckets keeps; those without a number are left out."""
    source, parameters = _distinct(range_, "at, number")
    where, _ = _where(range_)
    sql = f"""
        SELECT {_POINT} FROM {VIEW}
        WHERE {" AND ".join(where)} AND toUnixTimestamp64Milli(at) IN (
            SELECT arrayJoin(largestTriangleThreeBuckets({{most:UInt32}})(toUnixTimestamp64Milli(at), number)).1
            FROM ({source}) WHERE number IS NOT NULL
        )
        ORDER BY at, received DESC LIMIT 1 BY at
    """
    return Query(sql, parameters | {"most": most})


def select_statistics(range_: Range) -> Query:
    """One row: count, how many have text, min, max, avg, sum, stddev, median, p95, the first and the last point."""
    source, parameters = _distinct(range_, "device, path, at, number, text, meta, received")
    numbers = ", ".join(_AGGREGATES[name] for name in _STATISTICS)
    sql = f"""
        SELECT count(), countIf(text != '' OR number IS NULL), {numbers}, argMin({_CONTENT}, at), argMax({_CONTENT}, at)
        FROM ({source})
    """
    return Query(sql, parameters)


def select_frequent_texts(range_: Range, most: int) -> Query:
    """The most frequent texts of a series with their counts."""
    source, parameters = _distinct(range_, "at, number, text")
    sql = f"""
        SELECT text, count() FROM ({source}) WHERE text != '' OR number IS NULL
        GROUP BY text ORDER BY count() DESC, text LIMIT {{most:UInt32}}
    """
    return Query(sql, parameters | {"most": most})


def select_count(range_: Range) -> Query:
    """How many points the series have."""
    where, parameters = _where(range_)
    sql = f"""
        SELECT count() FROM (SELECT path FROM {VIEW} WHERE {" AND ".join(where)} GROUP BY device, path, at)
        SETTINGS optimize_aggregation_in_order = 1
    """
    return Query(sql, parameters)


def select_buckets(range_: Range, grid: Grid, functions: Sequence[Function], most: int) -> Query:
    """Device, path, bucket, then these functions (of those in `_AGGREGATES`); at most `most` rows."""
    text = ", text" if TEXTUAL.intersection(functions) else ""
    source, parameters = _distinct(range_, f"device, path, at, number{text}")
    columns = ", ".join(_AGGREGATES[name] for name in functions)
    bucket = grid.sql_of("toUnixTimestamp64Milli(at)")
    sql = f"""
        SELECT lower(hex(device)), path, {bucket} AS bucket, {columns} FROM ({source})
        GROUP BY device, path, bucket ORDER BY device, path, bucket LIMIT {{most:UInt32}}
    """
    return Query(sql, parameters | grid.parameters | {"most": most})


def select_modes(range_: Range, grid: Grid, most: int) -> Query:
    """Device, path, bucket, its most frequent value as number and text; of two as frequent the one seen last.

    Zero and minus zero are one value, which `number + 0` sees to.
    """
    source, parameters = _distinct(range_, "device, path, at, number, text")
    sql = f"""
        SELECT lower(hex(device)), path, bucket, argMax(tuple(value, text), tuple(times, latest)) FROM (
            SELECT device, path, {grid.sql_of("toUnixTimestamp64Milli(at)")} AS bucket, number + 0 AS value, text,
                   count() AS times, max(at) AS latest
            FROM ({source}) GROUP BY device, path, bucket, value, text
        )
        GROUP BY device, path, bucket ORDER BY device, path, bucket LIMIT {{most:UInt32}}
    """
    return Query(sql, parameters | grid.parameters | {"most": most})


def select_curves(range_: Range, *, newest: int | None, oldest: int | None, most: int) -> Query:
    """Device, path, and columns of its points: time, number, text; at most `most` points, those of all together."""
    source, parameters = _distinct(range_, "device, path, at, number, text")
    part = ""
    if newest is not None or oldest is not None:
        part = f"ORDER BY device, path, at {'DESC' if newest is not None else ''} LIMIT {{each:UInt64}} BY device, path"
        parameters["each"] = newest if newest is not None else oldest or 0
    sql = f"""
        {_COLUMNS} FROM (
            SELECT device, path, toUnixTimestamp64Milli(at) AS since, number AS value, text AS told FROM ({source})
            {part} LIMIT {{most:UInt64}}
        )
        GROUP BY device, path ORDER BY device, path
    """
    return Query(sql, parameters | {"most": most})


def select_bucket_curves(range_: Range, grid: Grid, function: Function, most: int) -> Query:
    """The same with a point for each bucket, boiled down by a function of `TEXTUAL`."""
    source, parameters = _distinct(range_, "device, path, at, number, text")
    sql = f"""
        {_COLUMNS} FROM (
            SELECT device, path, {grid.sql_of("toUnixTimestamp64Milli(at)")} AS since,
                   {_AGGREGATES[function]} AS pair, pair.1 AS value, pair.2 AS told
            FROM ({source}) GROUP BY device, path, since LIMIT {{most:UInt64}}
        )
        GROUP BY device, path ORDER BY device, path
    """
    return Query(sql, parameters | grid.parameters | {"most": most})


def select_bucket_numbers(range_: Range, grid: Grid, function: Function, most: int) -> Query:
    """A row for each bucket of each series, boiled down to a number by a function (of those in `_AGGREGATES` that are
    not in `TEXTUAL`); buckets of which it says nothing are left out. A row is: device, position of the path among those
    of the range in order as UInt32, start of the bucket as Int64, number as Float64; this is what they are sorted by.
    """
    # Keys of a fixed length: looking up the buckets is half of the work.
    source, parameters = _distinct(range_, "device, path, at, number")
    way = "toUInt32(indexOf({paths:Array(String)}, path) - 1)" if "paths" in parameters else "toUInt32(0)"
    sql = f"""
        SELECT device, {way} AS way, toInt64({grid.sql_of("toUnixTimestamp64Milli(at)")}) AS since,
               ifNull(toFloat64({_AGGREGATES[function]}), nan) AS value
        FROM ({source})
        GROUP BY device, way, since HAVING isFinite(value) ORDER BY device, way, since LIMIT {{most:UInt64}}
    """
    return Query(sql, parameters | grid.parameters | {"most": most})


_COLUMNS = """
    WITH arraySort(groupArray(tuple(since, value, told))) AS points
    SELECT lower(hex(device)), path, arrayMap(point -> point.1, points), arrayMap(point -> point.2, points),
           arrayMap(point -> point.3, points)
"""
"""Device, path, and time, value and text as arrays in order of time: the head of a query."""


def select_holds(
    range_: Range, grid: Grid, carried: Sequence[tuple[str, str, float]], until: int, *, at: TimeAt | None = None
) -> Query:
    """Device, path, bucket, time-weighted average, seconds that the value was not zero; for every bucket with a value.

    With `at` the value is 1 while it is that one, and 0 while it is another.

    A number holds until the next one, at most until `until`. `carried` is what each series held when the range began.
    The start of each bucket is a point of its own that repeats the value, so that no stretch crosses a border.
    """
    held, own = _is_at(at) if at is not None else ("number", _Values())
    source, parameters = _distinct(
        range_, "device, path, at, number" if at is None else "device, path, at, number, text"
    )
    sql = f"""
        SELECT lower(hex(device)), path, {grid.sql_of("since")} AS bucket,
               sum(value * (next - since)) / sum(next - since), sumIf(next - since, value != 0) / 1000
        FROM (
            SELECT device, path, since,
                   leadInFrame(since, 1, {{until:Int64}}) OVER (
                       PARTITION BY device, path ORDER BY since, rank ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS next,
                   anyLast(held) OVER (
                       PARTITION BY device, path ORDER BY since, rank
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS value
            FROM (
                SELECT device, path, toUnixTimestamp64Milli(at) AS since, CAST({held} AS Nullable(Float64)) AS held,
                       2 AS rank
                FROM ({source}) WHERE held IS NOT NULL AND since < {{until:Int64}}
                UNION ALL
                SELECT toFixedString(unhex(kept.1), 12), kept.2, {{start:Int64}}, CAST(kept.3 AS Nullable(Float64)), 0
                FROM (SELECT arrayJoin({{carried:Array(Tuple(String, String, Float64))}}) AS kept)
                UNION ALL
                SELECT toFixedString(unhex(pair.1), 12), pair.2, greatest(edge, {{start:Int64}}), NULL, 1
                FROM (SELECT arrayJoin({{pairs:Array(Tuple(String, String))}}) AS pair,
                             arrayJoin({grid.sql_starts}) AS edge)
                WHERE edge < {{until:Int64}}
            )
        )
        WHERE value IS NOT NULL AND next > since
        GROUP BY device, path, bucket ORDER BY device, path, bucket
    """
    pairs = [(to_bytes(one.device).hex(), one.path) for one in range_.series]
    own |= {"until": until, "carried": list(carried), "pairs": pairs}
    return Query(sql, parameters | grid.parameters | own)


def _is_at(at: TimeAt) -> tuple[str, _Values]:
    """Whether a point is a value, as SQL of 0 and 1."""
    own: _Values = {"held_text": at.text}
    is_text = "number IS NULL AND text = {held_text:String}"
    if at.number is None:
        return f"({is_text})", own
    return f"(ifNull(number = {{held_number:Float64}}, 0) OR ({is_text}))", own | {"held_number": repr(at.number)}


def select_weights(range_: Range) -> Query:
    """Device and weight: about as many bytes as the points of each device are in memory."""
    where, parameters = _where(range_)
    sql = f"""
        SELECT lower(hex(device)), {_WEIGHT} FROM {VIEW} WHERE {" AND ".join(where)} GROUP BY device ORDER BY device
    """
    return Query(sql, parameters)


def select_hourly_weights(range_: Range) -> Query:
    """The same for each hour (ms since 1970) of all together."""
    where, parameters = _where(range_)
    sql = f"""
        SELECT intDiv(toUnixTimestamp64Milli(at), 3600000) * 3600000 AS hour, {_WEIGHT} FROM {VIEW}
        WHERE {" AND ".join(where)} GROUP BY hour ORDER BY hour
    """
    return Query(sql, parameters)


def select_rows(range_: Range, columns: Sequence[RowColumn]) -> Query:
    """What `TelemetryStore.rows` says, in one piece."""
    source, parameters = _distinct(range_, "device, path, at, number, text, meta, received")
    values = "".join(
        f"anyIf({_VALUE_OF[column.value_type]}, path = {{column{position}:String}}) AS `{position}`, "
        for position, column in enumerate(columns)
    )
    sql = f"""
        SELECT lower(hex(device)) AS digits, at, {values}
               nullIf(concat('{{', arrayStringConcat(groupArrayIf(concat(toJSONString(
                   transform(path, {{column_paths:Array(String)}}, {{column_names:Array(String)}}, path)
               ), ':', meta), meta != ''), ','), '}}'), '{{}}') AS metadata
        FROM ({source}) GROUP BY device, at ORDER BY device, at
    """
    own: _Values = {f"column{position}": column.path for position, column in enumerate(columns)}
    own |= {
        "column_paths": [column.path for column in columns],
        "column_names": [column.name for column in columns],
    }
    return Query(sql, parameters | own)


def select_sizes() -> Query:
    """One row about the table: parts, rows, bytes on disk."""
    sql = """
        SELECT count(), sum(rows), sum(bytes_on_disk) FROM system.parts
        WHERE database = currentDatabase() AND table = 'point' AND active
    """
    return Query(sql, {})


# Each skips points without a number, but for count, first and last. `quantileExactInclusive` interpolates, as
# spreadsheets and numpy do. Both `rate` and `delta` are about the first and the last number of the bucket.
_DELTA = "argMax(number, at) - argMin(number, at)"
# Number and text of one point. Picked one by one, as a tuple is slow to pick; as no null, for a null is never picked.
_PAIR = "tuple(if(isNaN({0}(ifNull(number, nan), at) AS {0}Number), NULL, {0}Number), {0}(text, at))"
_AGGREGATES = {
    Function.AVG: "avg(number)",
    Function.MIN: "min(number)",
    Function.MAX: "max(number)",
    Function.SUM: "sum(number)",
    Function.COUNT: "count()",
    Function.FIRST: _PAIR.format("argMin"),
    Function.LAST: _PAIR.format("argMax"),
    Function.STDDEV: "stddevSampStable(number)",
    Function.MEDIAN: "quantileExactInclusive(0.5)(number)",
    Function.P95: "quantileExactInclusive(0.95)(number)",
    Function.DELTA: _DELTA,
    Function.RATE: f"({_DELTA}) * 1000 / nullIf(toUnixTimestamp64Milli(maxIf(at, number IS NOT NULL))"
    " - toUnixTimestamp64Milli(minIf(at, number IS NOT NULL)), 0)",
}
TEXTUAL = frozenset({Function.FIRST, Function.LAST})
"""Functions that answer number and text."""
_STATISTICS = (
    Function.MIN,
    Function.MAX,
    Function.AVG,
    Function.SUM,
    Function.STDDEV,
    Function.MEDIAN,
    Function.P95,
)


_WEIGHT = "sum(40 + length(text) + length(meta))"
# A number that a float cannot hold lies in the text.
_VALUE_OF = {
    ValueType.DOUBLE: "if(number IS NULL, toFloat64OrNull(text), number)",
    ValueType.BIGINT: "if(text = '', accurateCastOrNull(number, 'Int64'), toInt64OrNull(text))",
    ValueType.BOOLEAN: "accurateCastOrNull(number != 0, 'Bool')",
    ValueType.TEXT: "toNullable(if(number IS NULL OR text != '', text, toString(number)))",
}


def _page(where: list[str], parameters: _Values, *, limit: int, descending: bool, after: PointPosition | None) -> Query:
    way, beyond = ("DESC", "<") if descending else ("ASC", ">")
    if after is not None:
        # The first half is for the index, which cannot use a tuple that skips a column of the key.
        where.append(f"at {beyond}= {instant('after_at')}")
        where.append(f"tuple(at, path) {beyond} tuple({instant('after_at')}, {{after_path:String}})")
        parameters |= {"after_at": after.at, "after_path": after.path}
    sql = f"""
        SELECT {_POINT} FROM {VIEW} WHERE {" AND ".join(where)}
        ORDER BY at {way}, path {way}, received DESC LIMIT 1 BY at, path LIMIT {{limit:UInt64}}
    """
    return Query(sql, parameters | {"limit": limit})


def _distinct(range_: Range, columns: str) -> tuple[str, _Values]:
    """A subquery of the points of a range, each key once, in order of the key."""
    where, parameters = _where(range_)
    # Conditions are about columns of the key, alike for all rows of one: they may be looked at before one is chosen.
    # The limit keeps the order, which would be left out as of no use: but a sum depends on it, in its last digit, and
    # shall not become another one when parts are merged.
    sql = f"""
        SELECT {columns} FROM {VIEW} WHERE {" AND ".join(where)} ORDER BY device, path, at LIMIT 1000000000000
        SETTINGS final = 1, optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1
    """
    return sql, parameters


def _where(range_: Range) -> tuple[list[str], _Values]:
    """Conditions for the series and the time of a range, in the shapes that the primary key can use."""
    time, parameters = _time(range_)
    devices = {to_bytes(one.device).hex() for one in range_.series}
    paths = {one.path for one in range_.series}
    where = [f"device = {_DEVICE}", "path = {path:String}"]
    # An array behind IN would become a call of `has`, which no index serves: hence the subqueries. Thousands of devices
    # are one text, because the driver spells each text of an array by itself.
    if len(devices) == 1:
        parameters["device"] = devices.pop()
    else:
        ids = "arrayJoin(splitByChar('.', {devices:String}))"
        where[0] = f"device IN (SELECT toFixedString(unhex({ids}), 12))"
        parameters["devices"] = ".".join(sorted(devices))
    if len(paths) == 1:
        parameters["path"] = paths.pop()
    else:
        where[1] = "path IN (SELECT arrayJoin({paths:Array(String)}))"
        parameters["paths"] = sorted(paths)
    if len(set(range_.series)) < len(devices) * len(paths):
        # Pairs cost twice as much to look up as the two by themselves, so this is for what those let through.
        where.append(
            "tuple(device, path) IN (SELECT tuple(toFixedString(unhex(id.1), 12), id.2)"
            " FROM (SELECT arrayJoin({series:Array(Tuple(String, String))}) AS id))"
        )
        parameters["series"] = [(to_bytes(one.device).hex(), one.path) for one in range_.series]
    return [*where, *time], parameters


def _time(range_: Range) -> tuple[list[str], _Values]:
    where: list[str] = []
    parameters: _Values = {"tenant": range_.tenant}
    if range_.start is not None:
        where.append(f"at >= {instant('start')}")
        parameters["start"] = range_.start
    if range_.end is not None:
        where.append(f"at < {instant('stop')}")
        parameters["stop"] = range_.end
    return where, parameters


def instant(parameter: str) -> str:
    """An instant from the milliseconds of a parameter."""
    return f"fromUnixTimestamp64Milli({{{parameter}:Int64}}, 'UTC')"
