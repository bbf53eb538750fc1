"""Time series: what is kept of paths of devices, series of a tenant's own, and files made of either."""

from roadstead.core.timeseries.curves import MOST_RECENT, Point, read_span
from roadstead.core.timeseries.device_series import delete_readings, frame_readings, list_recent_readings
from roadstead.core.timeseries.frames import Aggregation, Frames, FrameSize
from roadstead.core.timeseries.job_model import Piece, PointsFile, PointsSpeller, file_name
from roadstead.core.timeseries.jobs import (
    JOBS,
    continue_points_file,
    find_points,
    get_points_file,
    load_points_file,
    request_readings,
    request_readings_of_devices,
    request_timeseries,
)
from roadstead.core.timeseries.model import (
    PointDraft,
    SeriesId,
    Timeseries,
    TimeseriesChange,
    TimeseriesDraft,
    TimeseriesQuery,
)
from roadstead.core.timeseries.reading import PointsReader
from roadstead.core.timeseries.service import (
    add_points,
    change_timeseries,
    create_timeseries,
    delete_points,
    delete_timeseries,
    get_timeseries,
    list_recent,
    list_timeseries,
    page_frames,
)

__all__ = [
    "JOBS",
    "MOST_RECENT",
    "Aggregation",
    "FrameSize",
    "Frames",
    "Piece",
    "Point",
    "PointDraft",
    "PointsFile",
    "PointsReader",
    "PointsSpeller",
    "SeriesId",
    "Timeseries",
    "TimeseriesChange",
    "TimeseriesDraft",
    "TimeseriesQuery",
    "add_points",
    "change_timeseries",
    "continue_points_file",
    "create_timeseries",
    "delete_points",
    "delete_readings",
    "delete_timeseries",
    "file_name",
    "find_points",
    "frame_readings",
    "get_points_file",
    "get_timeseries",
    "list_recent",
    "list_recent_readings",
    "list_timeseries",
    "load_points_file",
    "page_frames",
    "read_span",
    "request_readings",
    "request_readings_of_devices",
    "request_timeseries",
]
