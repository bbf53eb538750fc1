"""/desired-state-bindings and /devices/{id}/desired-state: who shall have which configuration, and who has it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from msgspec import Meta, Raw

from roadstead.core import configuration
from roadstead.core.configuration import (
    MAX_PRIORITY,
    SINGLE,
    ArtefactId,
    Binding,
    BindingDraft,
    BindingId,
    BindingQuery,
    BindingStatus,
    DesiredState,
    DeviceChange,
    Entry,
    EntryChange,
    EntryStatus,
    Preview,
    ReportedEntry,
    TargetType,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId, parse_uuid
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

DryRun = Annotated[
    bool, QueryParameter(name="dryRun", description="change nothing: answer which devices would change, and how")
]


# --- shapes ----------------------------------------------------------------------------------------------------------


class DeviceCountsShape(Shape, kw_only=True):
    """How many entries have which status, and how many devices reported another hash than they shall have."""

    pending: int
    in_progress: int
    accepted: int
    rejected: int
    failed: int
    drifting: int


class DesiredStateBindingShape(Shape, kw_only=True):
    """Contract schema `DesiredStateBinding`; `settled` says that all devices it means have been worked out."""

    id: str
    target_type: str
    target_id: str
    config_artefact_id: str
    artefact_name: str
    desired_version: int
    priority: int
    status: str
    reported_version: int | None = None
    reported_hash: str | None = None
    reported_at: datetime | None = None
    device_counts: DeviceCountsShape | None = None
    drift: bool
    settled: bool
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, binding: Binding) -> "DesiredStateBindingShape":
        counts = DeviceCountsShape(
            pending=binding.pending,
            in_progress=binding.in_progress,
            accepted=binding.accepted,
            rejected=binding.rejected,
            failed=binding.failed,
            drifting=binding.drifting,
        )
        return cls(
            id=str(binding.id),
            target_type=binding.target_type,
            target_id=str(binding.target_id),
            config_artefact_id=str(binding.artefact_id),
            artefact_name=binding.artefact_name,
            desired_version=binding.desired_version,
            priority=binding.priority,
            status=binding.status,
            reported_version=binding.reported_version,
            reported_hash=binding.reported_hash,
            reported_at=binding.reported_at,
            device_counts=None if binding.target_type in SINGLE else counts,
            drift=binding.drifting > 0,
            settled=binding.is_settled,
            created_at=binding.created_at,
            updated_at=binding.updated_at,
            version=binding.version,
        )


class DesiredStateBindingBody(Body, kw_only=True):
    """Contract schema `DesiredStateBindingInput`."""

    target_type: TargetType
    target_id: Annotated[str, Meta(min_length=1, max_length=200)]
    config_artefact_id: str
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0

    def draft(self) -> BindingDraft:
        """In words of the core."""
        artefact_id = parse_uuid(self.config_artefact_id)
        if artefact_id is None:
            raise NotFound("config artefact", self.config_artefact_id)
        return BindingDraft(
            target_type=self.target_type,
            target=self.target_id,
            artefact_id=ArtefactId(artefact_id),
            priority=self.priority,
        )


class PlaceShape(Shape, kw_only=True):
    """What stands in one place of a document."""

    artefact_id: str
    desired_version: int
    hash: str
    target_type: str
    target_id: str

    @classmethod
    def of(cls, entry: Entry) -> "PlaceShape":
        return cls(
            artefact_id=str(entry.artefact_id),
            desired_version=entry.desired_version,
            hash=entry.hash,
            target_type=entry.target_type,
            target_id=str(entry.target_id),
        )


class EntryChangeShape(Shape, kw_only=True):
    """What would become of one place of a document: nothing before is new, nothing after is removed."""

    artefact_name: str
    component_id: str | None = None
    before: PlaceShape | None = None
    after: PlaceShape | None = None

    @classmethod
    def of(cls, change: EntryChange) -> "EntryChangeShape":
        entry = change.after or change.before
        assert entry is not None
        return cls(
            artefact_name=entry.artefact_name,
            component_id=str(entry.component_id) if entry.component_id else None,
            before=PlaceShape.of(change.before) if change.before else None,
            after=PlaceShape.of(change.after) if change.after else None,
        )


class DeviceChangeShape(Shape, kw_only=True):
    """What would become of the document of a device."""

    device_id: str
    document_version: int
    changes: list[EntryChangeShape]

    @classmethod
    def of(cls, change: DeviceChange) -> "DeviceChangeShape":
        return cls(
            device_id=str(change.device_id),
            document_version=change.version,
            changes=[EntryChangeShape.of(each) for each in change.changes],
        )


class BindingPreviewShape(Shape, kw_only=True):
    """Contract schema `BindingPreview`: of the first 1,000 devices it may touch; the first 100 that would change."""

    examined: int
    complete: bool
    changed: int
    devices: list[DeviceChangeShape]

    @classmethod
    def of(cls, preview: Preview) -> "BindingPreviewShape":
        return cls(
            examined=preview.examined,
            complete=preview.is_complete,
            changed=preview.changed,
            devices=[DeviceChangeShape.of(device) for device in preview.devices],
        )


class BindingReportShape(Shape, kw_only=True):
    """Contract schema `BindingReport`."""

    device_id: str
    component_id: str | None = None
    desired_version: int
    desired_hash: str
    reported_version: int | None = None
    reported_hash: str | None = None
    reported_at: datetime | None = None
    status: str
    drift: bool
    message: str | None = None
    updated_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "BindingReportShape":
        return cls(
            device_id=str(entry.device_id),
            component_id=str(entry.component_id) if entry.component_id else None,
            desired_version=entry.desired_version,
            desired_hash=entry.hash,
            reported_version=entry.reported_version,
            reported_hash=entry.reported_hash,
            reported_at=entry.reported_at,
            status=entry.status,
            drift=entry.drifts,
            message=entry.message,
            updated_at=entry.updated_at,
        )


class DesiredEntryShape(Shape, kw_only=True):
    """One entry of contract schema `DesiredState`."""

    artefact_name: str
    target_type: str
    target_id: str
    component_id: str | None = None
    component_key: str | None = None
    binding_id: str
    artefact_id: str
    desired_version: int
    hash: str
    content: Any = None
    download_url: str | None = None
    status: str
    reported_version: int | None = None
    reported_hash: str | None = None
    reported_at: datetime | None = None
    message: str | None = None
    drift: bool

    @classmethod
    def of(cls, entry: Entry) -> "DesiredEntryShape":
        return cls(
            artefact_name=entry.artefact_name,
            target_type=entry.target_type,
            target_id=str(entry.target_id),
            component_id=str(entry.component_id) if entry.component_id else None,
            component_key=entry.component_key or None,
            binding_id=str(entry.binding_id),
            artefact_id=str(entry.artefact_id),
            desired_version=entry.desired_version,
            hash=entry.hash,
            status=entry.status,
            reported_version=entry.reported_version,
            reported_hash=entry.reported_hash,
            reported_at=entry.reported_at,
            message=entry.message,
            drift=entry.drifts,
        )


class StrayShape(Shape, kw_only=True):
    """What a device reported and shall not have."""

    artefact_name: str
    component_key: str | None = None
    reported_version: int
    reported_hash: str
    status: str
    message: str | None = None
    reported_at: datetime

    @classmethod
    def of(cls, said: ReportedEntry) -> "StrayShape":
        return cls(
            artefact_name=said.artefact_name,
            component_key=said.component_key or None,
            reported_version=said.version,
            reported_hash=said.hash,
            status=said.status,
            message=said.message,
            reported_at=said.at,
        )


class DesiredStateShape(Shape, kw_only=True):
    """Contract schema `DesiredState`."""

    device_id: str
    document_version: int
    changed_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_version: int | None = None
    delivered_at: datetime | None = None
    reported_document_version: int | None = None
    reported_at: datetime | None = None
    drift: bool
    entries: list[DesiredEntryShape]
    strays: list[StrayShape]

    @classmethod
    def of(cls, state: DesiredState) -> "DesiredStateShape":
        return cls(
            device_id=str(state.device_id),
            document_version=state.document_version,
            changed_at=state.changed_at,
            sent_at=state.sent_at,
            delivered_version=state.arrived_version,
            delivered_at=state.arrived_at,
            reported_document_version=state.reported_version,
            reported_at=state.reported_at,
            drift=bool(state.strays) or any(entry.drifts for entry in state.entries),
            entries=[DesiredEntryShape.of(entry) for entry in state.entries],
            strays=[StrayShape.of(said) for said in state.strays],
        )


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/", operation_id="binding.list")
async def list_bindings(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="createdAt (default, descending), updatedAt; -field descends")
    ] = None,
    target_type: Annotated[TargetType | None, QueryParameter(name="targetType")] = None,
    target_id: Annotated[
        str | None, QueryParameter(name="targetId", description="an id, or profile key[@version]")
    ] = None,
    config_artefact_id: Annotated[UUID | None, QueryParameter(name="configArtefactId")] = None,
    artefact_name: Annotated[str | None, QueryParameter(name="artefactName")] = None,
    status: Annotated[list[BindingStatus] | None, QueryParameter(description="repeat it to or")] = None,
) -> PageShape[DesiredStateBindingShape]:
    """Bindings with what their devices reported."""
    query = BindingQuery(
        target_type=target_type,
        target_ids=None if target_id is None else await configuration.find_targets(work, target_type, target_id),
        artefact_id=None if config_artefact_id is None else ArtefactId(config_artefact_id),
        artefact_name=artefact_name,
        statuses=status or [],
    )
    found = await configuration.list_bindings(work, query, sort=sort, page=page)
    return page_shape(found, page, DesiredStateBindingShape.of)


@put(
    "/",
    operation_id="binding.put",
    status_code=200,
    responses={201: ResponseSpec(DesiredStateBindingShape, generate_examples=False, description="created")},
)
@idempotent
async def put_binding(
    request: AnyRequest, work: Work, expected: int | None, data: DesiredStateBindingBody, dry_run: DryRun = False
) -> Response[DesiredStateBindingShape | BindingPreviewShape | None]:
    """Binds an artefact to a target, in place of the version of this name that was bound there.

    Another artefact raises `desiredVersion`. Every device whose document changes is sent the new one: a single device
    at once, those of groups and profiles one after the other; `settled` says when all have been worked out.
    """
    draft = data.draft()
    if dry_run:
        preview = await configuration.preview_put(work, draft, expected=expected)
        return Response(BindingPreviewShape.of(preview), status_code=200)
    done = await configuration.put_binding(work, draft, expected=expected)
    location = f"/api/v1/desired-state-bindings/{done.binding.id}" if done.is_new else None
    shape: DesiredStateBindingShape | BindingPreviewShape = DesiredStateBindingShape.of(done.binding)
    return versioned(request, shape, done.binding.version, location=location)


@get("/{id:str}", operation_id="binding.get")
async def get_binding(work: Work, id: str) -> Response[DesiredStateBindingShape]:
    """One binding. Its ETag is for If-Match; what devices report does not change it, so a GET is always answered."""
    binding = await configuration.get_binding(work, _read(id))
    return Response(DesiredStateBindingShape.of(binding), headers={"ETag": f'"{binding.version}"'})


@get("/{id:str}/reports", operation_id="binding.reports")
async def list_reports(
    work: Work,
    page: PageQuery,
    id: str,
    status: Annotated[list[EntryStatus] | None, QueryParameter(description="repeat it to or")] = None,
    drift: Annotated[bool | None, QueryParameter(description="whether the device reported another hash")] = None,
) -> PageShape[BindingReportShape]:
    """Desired and reported version, status, hash, message and time, per device and component."""
    found = await configuration.list_entries(work, _read(id), statuses=status or [], drifting=drift, page=page)
    return page_shape(found, page, BindingReportShape.of)


@post("/{id:str}/resend", operation_id="binding.resend", status_code=202)
async def resend_binding(work: Work, id: str) -> None:
    """Sends the document again to devices that have not accepted what this binding gives them."""
    await configuration.resend_binding(work, _read(id))


@delete(
    "/{id:str}",
    operation_id="binding.delete",
    status_code=200,
    responses={204: ResponseSpec(None, description="unbound")},
)
async def delete_binding(
    work: Work, id: str, expected: int | None, dry_run: DryRun = False
) -> Response[BindingPreviewShape | None]:
    """Unbinds; the next binding by precedence takes over, or the device shall not have it any more."""
    if dry_run:
        preview = await configuration.preview_delete(work, _read(id), expected=expected)
        return Response(BindingPreviewShape.of(preview), status_code=200)
    await configuration.delete_binding(work, _read(id), expected=expected)
    return Response(None, status_code=204)


@get("/", operation_id="device.desired-state")
async def get_desired_state(work: Work, id: str) -> DesiredStateShape:
    """What the device shall have, after precedence, beside what it reported."""
    state = await configuration.get_desired_state(work, DeviceId(read_id(id, "device")))
    shape = DesiredStateShape.of(state)
    for entry, told in zip(state.entries, shape.entries, strict=True):
        content = state.contents.get(entry.artefact_id)
        if content is not None:
            told.content = Raw(content)
        else:
            artefact = await configuration.get_artefact(work, entry.artefact_id)
            told.download_url = await configuration.link_artefact(work, artefact)
    return shape


def _read(text: str) -> BindingId:
    return BindingId(read_id(text, "binding"))


router = Router(
    "/v1/desired-state-bindings",
    route_handlers=[
        list_bindings,
        put_binding,
        get_binding,
        list_reports,
        resend_binding,
        delete_binding,
    ],
    tags=["config"],
)
device_router = Router("/v1/devices/{id:str}/desired-state", route_handlers=[get_desired_state], tags=["devices"])
