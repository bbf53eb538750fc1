"""What of an application is archived, day by day, and its archives (contract section 20)."""

from datetime import UTC
from typing import Any

import msgspec
from litestar import Response, get

from roadstead.core import archives
from roadstead.core.registry import Archive, ArchiveMode, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import queued
from roadstead.dialects.losant.times import read_time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import parse_hex24, to_hex24
from roadstead.kernel.time import from_millis, to_millis
from roadstead.web.edge import AnyRequest

_ELSEWHERE = "archives are kept in the store of this platform, not elsewhere"
_NOT_YET = {
    "s3": _ELSEWHERE,
    "gcs": _ELSEWHERE,
    "azure": _ELSEWHERE,
    "credentialName": _ELSEWHERE,
    "includeDataTables": "there are no data tables here yet",
    "dataTablesMode": "there are no data tables here yet",
    "dataTableIds": "there are no data tables here yet",
    "includeApplicationExport": "exports are made when they are asked for, and are no part of archives",
    "applicationExportOptions": "exports are made when they are asked for, and are no part of archives",
}


_PLACE = "/applications/{applicationId:str}"


class TagBody(msgspec.Struct, frozen=True):
    """One of `deviceTags`."""

    key: str | None = None
    value: str | None = None

    def tag(self) -> dict[str, str]:
        """As the core has it."""
        return {name: text for name, text in (("key", self.key), ("value", self.value)) if text is not None}


class ArchiveBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`archiveConfig`. What is not served is refused by name."""

    directory: str = ""
    mode: ArchiveMode = ArchiveMode.ALL
    device_ids: list[str] = []
    device_tags: list[TagBody] = []
    include_devices: bool = True
    include_events: bool = False
    delay_days: int = 1
    s3: Any = None
    gcs: Any = None
    azure: Any = None
    credential_name: Any = None
    include_data_tables: bool = False
    data_tables_mode: Any = None
    data_table_ids: Any = None
    include_application_export: bool = False
    application_export_options: Any = None

    def archive(self) -> Archive:
        """As the core has it."""
        for name, reason in _NOT_YET.items():
            if getattr(self, _fields[name]):
                raise Invalid.field(f"/archiveConfig/{name}", reason)
        return Archive(
            directory=self.directory,
            mode=self.mode,
            device_ids=[id_ for each in self.device_ids if (id_ := parse_hex24(each)) is not None],
            device_tags=[each.tag() for each in self.device_tags],
            include_devices=self.include_devices,
            include_events=self.include_events,
            delay_days=self.delay_days,
        )


_fields = {each.encode_name: each.name for each in msgspec.structs.fields(ArchiveBody)}


def spell_archive(archive: Archive) -> dict[str, Any]:
    """`archiveConfig`."""
    return {
        "directory": archive.directory,
        "mode": archive.mode,
        "deviceIds": [to_hex24(each) for each in archive.device_ids],
        "deviceTags": archive.device_tags,
        "includeDevices": archive.include_devices,
        "includeEvents": archive.include_events,
        "delayDays": archive.delay_days,
    }


@get(f"{_PLACE}/archiveData", operation_id="application.archiveData", status_code=202)
async def archive_data(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """The day (UTC) that an instant is in, or a date."""
    text = request.query_params.get("date")
    if not text:
        raise Invalid.field("date", "is required", place="query")
    # What cannot be read is now, and today is not over.
    at = from_millis(read_time(text, to_millis(work.now())))
    return queued(await archives.request_archive(work, application, at.astimezone(UTC).date()))


@get(f"{_PLACE}/backfillArchiveData", operation_id="application.backfillArchiveData", status_code=202)
async def backfill_archive(work: Work, application: Space) -> Response[dict[str, Any]]:
    """All days that are old enough."""
    return queued(await archives.request_backfill(work, application))


@get(f"{_PLACE}/fullEventsArchive", operation_id="application.fullEventsArchive", status_code=202)
async def archive_events(work: Work, application: Space) -> Response[dict[str, Any]]:
    """All events there are."""
    return queued(await archives.request_events_archive(work, application))


handlers = [archive_data, backfill_archive, archive_events]
