"""/applications/{applicationId}/export, /import, /clone, /applications/import (contract section 20)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import Provide

from roadstead.core import bundles, files, jobs, registry
from roadstead.core.bundles import MOST_AT_ONCE, Bundle, Conflicts, Import, ImportStatus, Kind, Unfit
from roadstead.core.jobs import spell_job_id
from roadstead.core.registry import Space
from roadstead.core.work import Work
from roadstead.dialects.losant.applications import spell_one
from roadstead.dialects.losant.bundle_files import portable, read_bundle
from roadstead.dialects.losant.bundle_jobs import COPY, DIALECT, EXPORT, IMPORT, bundle_name
from roadstead.dialects.losant.envelopes import queued, read_number, spell_time
from roadstead.dialects.losant.places import Places, provide_places
from roadstead.dialects.losant.schemas import check, read_body
from roadstead.dialects.losant.spans import read_span
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import equals
from roadstead.kernel.ids import SpaceId, new_id, parse_hex24, to_hex24
from roadstead.web.bodies import decode_json, read_as
from roadstead.web.edge import AnyRequest, BeginWork

_PLACE = "/applications/{applicationId:str}"
_NOT_HERE = {
    "include_files": "files",
    "include_private_files": "private files",
    "include_data_table_rows": "data tables",
}
_EVERYTHING = frozenset(Kind)
_NO = frozenset({"", "0", "false", "False", "null"})
_STATUSES = {
    ImportStatus.QUEUED: "queued",
    ImportStatus.RUNNING: "inProgress",
    ImportStatus.DONE: "completed",
    ImportStatus.FAILED: "failed",
}
_ASKERS = {ActorKind.USER: "user", ActorKind.DEVICE: "device", ActorKind.SYSTEM: "flow"}


class _Included(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of an application shall come along."""

    include_devices: bool = False
    include_files: bool = False
    include_private_files: bool = False
    include_data_table_rows: bool = False
    email: str | None = None
    callback_url: str | None = None
    force_job: bool = False

    def check(self) -> None:
        """Raises `Invalid` that names what there is not."""
        for field, what in _NOT_HERE.items():
            if getattr(self, field):
                name = next(each.encode_name for each in msgspec.structs.fields(self) if each.name == field)
                raise Invalid.field(name, f"there are no {what} here yet")


class ExportBody(_Included, frozen=True, kw_only=True, rename="camel"):
    """`applicationExportPost`."""

    export_type: str = "zip"
    credential_name: str | None = None
    repo: Any = None


class CloneBody(_Included, frozen=True, kw_only=True, rename="camel"):
    """`applicationClonePost`."""

    dry_run: bool = False
    owner_id: str | None = None
    owner_type: str | None = None


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`importIntoApplicationOptions` and `importNewApplicationOptions`."""

    from_application_id: str | None = None
    import_url: str | None = None
    callback_url: str | None = None
    conflict_behavior: Conflicts = Conflicts.CREATE
    dry_run: bool = False
    force_job: bool = False
    include: list[str] | None = None
    credential_name: str | None = None
    repo: Any = None

    def kinds(self, bundle: Bundle) -> frozenset[Kind]:
        """What is wanted of a bundle. Raises `Invalid` that names what cannot be had here."""
        if self.include is None:
            if bundle.has:
                problems = [_not_here(name) for name in sorted(bundle.has)[:100]]
                raise Unfit(problems)
            return _EVERYTHING
        unknown = [name for name in self.include if name not in _EVERYTHING]
        if unknown:
            raise Invalid.field("options/include", f"{', '.join(unknown)} cannot be imported here yet")
        return frozenset(map(Kind, self.include))

    def check(self) -> None:
        """Raises `Invalid` for a source that cannot be used here."""
        if self.import_url is not None:
            raise Invalid.field("options/importUrl", "bundles are not fetched from elsewhere: send importBundle")
        if self.credential_name is not None or self.repo is not None:
            raise Invalid.field("options/repo", "repositories are not read here: send importBundle")


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a multipart body."""

    content: bytes | None
    options: ImportOptions
    email: str | None
    owner_id: str | None = None
    owner_type: str | None = None
    devices: bool = True


@post(f"{_PLACE}/export", operation_id="application.export", status_code=202)
async def export_application(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """A job writes the bundle; its log says where it is."""
    body = read_as(await read_body(request, "applicationExportPost"), ExportBody)
    body.check()
    if body.export_type != "zip" or body.credential_name is not None or body.repo is not None:
        raise Invalid.field("exportType", "repositories are not written here: export a zip")
    job_id = await jobs.enqueue(
        work,
        EXPORT,
        {"includeDevices": body.include_devices},
        space_id=application.id,
        name=f"export of '{application.name}'",
        email=body.email,
        callback_url=body.callback_url,
        shown={"includeDevices": body.include_devices},
        alone=True,
    )
    return queued(job_id)


@post(
    f"{_PLACE}/clone",
    operation_id="application.clone",
    status_code=201,
    dependencies={"places": Provide(provide_places)},
)
async def clone_application(
    request: AnyRequest, work: Work, places: Places, application: Space
) -> dict[str, Any] | Response[dict[str, Any]]:
    """Another application like this one, here or in another organization of the caller: at once when it is small."""
    body = read_as(await read_body(request, "applicationClonePost"), CloneBody)
    body.check()
    target = _owner(work.actor, places, body.owner_id, body.owner_type)
    kinds = _EVERYTHING if body.include_devices else frozenset({Kind.GLOBAL})
    count = await registry.count_devices(work, equals("spaceId", application.id)) if body.include_devices else 0
    is_large = body.force_job or count > MOST_AT_ONCE
    if body.dry_run:
        return Response({"success": True, "requiresJob": is_large}, status_code=200)
    if is_large:
        source = {
            "source": "fromApplication",
            "fromSpaceId": str(application.id),
            "fromTenant": work.tenant_id,
            "fromOrganization": str(work.actor.organization_id),
        }
        return await _queue_copy(work, application, target, kinds, new_id(), source, body.email, body.callback_url)
    bundle = portable(await bundles.gather(work, application, dialect=DIALECT, devices=body.include_devices))
    return await _copy(request, places, target, bundle, kinds, "fromApplication", from_space_id=application.id)


@post(
    "/applications/import",
    operation_id="applications.import",
    status_code=201,
    dependencies={"places": Provide(provide_places)},
)
async def import_application(request: AnyRequest, places: Places) -> dict[str, Any] | Response[dict[str, Any]]:
    """A new application from a bundle: at once when it is small."""
    form = await _read_form(request, "importNewApplicationOptions")
    target = _owner(places.first(None), places, form.owner_id, form.owner_type)
    content = _content(form)
    bundle = await asyncio.to_thread(read_bundle, content)
    kinds = form.options.kinds(bundle) - (frozenset() if form.devices else {Kind.DEVICE})
    if not form.options.force_job and len(bundle.devices) <= MOST_AT_ONCE:
        return await _copy(request, places, target, bundle, kinds, "importBundle")
    import_id = new_id()
    async with places.work(target) as work:
        await work.ports.blobs.put(files.blob_key(target.organization_id, bundle_name(import_id)), content)
        home = await registry.load_default_space(work)
        source = {"source": "importBundle"}
        return await _queue_copy(work, home, target, kinds, import_id, source, form.email, form.options.callback_url)


@post(
    f"{_PLACE}/import",
    operation_id="application.import",
    status_code=200,
    dependencies={"places": Provide(provide_places)},
)
async def import_into_application(
    request: AnyRequest, begin: BeginWork, places: Places, application: Space
) -> dict[str, Any] | Response[dict[str, Any]]:
    """Devices and globals of a bundle, or of another application: at once when they are few."""
    form = await _read_form(request, "importIntoApplicationOptions")
    options = form.options
    bundle, source = await _source(places, form)
    kinds = options.kinds(bundle)
    import_id = new_id()
    is_large = options.force_job or len(bundle.devices) > MOST_AT_ONCE
    if is_large and not options.dry_run:
        return await _queue_import(begin, application, form, kinds, import_id, source)
    async with begin() as work:
        await _note(work, import_id, application, form, source)
    try:
        async with begin() as work:
            arguments = (work, application, bundle, kinds, options.conflict_behavior)
            if options.dry_run:
                await bundles.check_fits(*arguments, dialect=DIALECT)
            else:
                await bundles.plant(*arguments, dialect=DIALECT)
            await bundles.settle_import(work, import_id, ImportStatus.DONE)
            return await spell_one(request, work, await registry.load_space(work, application.id))
    except Unfit as error:
        async with begin() as work:
            await bundles.settle_import(work, import_id, ImportStatus.FAILED, error=str(error), problems=error.problems)
        raise


@get(f"{_PLACE}/importLogs", operation_id="application.importLogs")
async def list_import_logs(request: AnyRequest, work: Work, application: Space) -> list[dict[str, Any]]:
    """What was put into the application, newest first."""
    most = read_number(request, "limit", 1, least=1, most=1000)
    since = read_span(request, to_now=True).start if request.query_params.get("since") else None
    found = await bundles.list_imports(work, application.id, since=since, most=most)
    return [_spell_import(each) for each in found]


# --- where it comes from ---------------------------------------------------------------------------------------------


async def _read_form(request: AnyRequest, schema: str) -> Form:
    """The parts of a multipart body; a JSON body has them as members."""
    if "multipart/form-data" in request.headers.get("content-type", ""):
        parts: Mapping[str, Any] = dict((await request.form()).multi_items())
    else:
        parts = await read_body(request) or {}
    options = parts.get("options") or {}
    if isinstance(options, str):
        options = decode_json(options.encode())
    check(options, schema, where="options")
    read = read_as(options, ImportOptions)
    read.check()
    for name, what in (("includeFiles", "files"), ("includeDataTableRows", "data tables")):
        if str(parts.get(name) or "") not in _NO:
            raise Invalid.field(name, f"there are no {what} here yet")
    return Form(
        content=await _file(parts.get("importBundle")),
        options=read,
        email=_text(parts, "email"),
        owner_id=_text(parts, "ownerId"),
        owner_type=_text(parts, "ownerType"),
        devices=str(parts.get("includeDevices", "true")) not in _NO,
    )


async def _file(part: Any) -> bytes | None:
    return await part.read() if isinstance(part, UploadFile) else None


def _text(parts: Mapping[str, Any], name: str) -> str | None:
    value = parts.get(name)
    if value is not None and not isinstance(value, str):
        raise Invalid.field(name, "is a text")
    return value or None


def _content(form: Form) -> bytes:
    if form.content is None:
        raise Invalid.field("importBundle", "is required: a zip, as a file of a multipart body")
    return form.content


async def _source(places: Places, form: Form) -> tuple[Bundle, dict[str, Any]]:
    """What is to be put in, and where a job finds it again."""
    named = form.options.from_application_id
    if named is None:
        return await asyncio.to_thread(read_bundle, _content(form)), {"source": "importBundle"}
    if form.content is not None:
        raise Invalid.field("options/fromApplicationId", "does not go with importBundle")
    space_id = parse_hex24(named)
    for actor in places.among(None):
        async with places.work(actor) as work:
            if space_id is None or (places.only is not None and space_id not in places.only):
                continue
            try:
                space = await registry.load_space(work, SpaceId(space_id))
            except NotFound:
                continue
            devices = form.options.include is None or Kind.DEVICE in form.options.include
            bundle = portable(await bundles.gather(work, space, dialect=DIALECT, devices=devices))
            source = {
                "source": "fromApplication",
                "fromSpaceId": str(space.id),
                "fromTenant": actor.tenant_id,
                "fromOrganization": str(actor.organization_id),
            }
            return bundle, source
    raise NotFound("Application")


# --- where it goes ---------------------------------------------------------------------------------------------------


def _owner(usual: Actor, places: Places, owner_id: str | None, owner_type: str | None) -> Actor:
    """The caller in the organization that shall have it. Raises `Invalid` for a person: applications are of
    organizations."""
    if owner_type == "user":
        raise Invalid.field("ownerType", "applications belong to organizations here")
    return usual if owner_id is None else places.first(owner_id)


async def _copy(
    request: AnyRequest,
    places: Places,
    target: Actor,
    bundle: Bundle,
    kinds: frozenset[Kind],
    source: str,
    *,
    from_space_id: SpaceId | None = None,
) -> dict[str, Any]:
    async with places.work(target) as work:
        space = await bundles.plant_anew(work, bundle, kinds, dialect=DIALECT)
        import_id = new_id()
        await bundles.note_import(
            work,
            import_id,
            space.id,
            source=source,
            from_space_id=from_space_id,
            conflicts=Conflicts.CREATE,
            kinds=None,
            dry_run=False,
        )
        await bundles.settle_import(work, import_id, ImportStatus.DONE)
        return {"application": await spell_one(request, work, await registry.load_space(work, space.id))}


async def _queue_copy(
    work: Work,
    home: Space,
    target: Actor,
    kinds: frozenset[Kind],
    import_id: UUID,
    source: Mapping[str, Any],
    email: str | None,
    callback_url: str | None,
) -> Response[dict[str, Any]]:
    """One at a time for the organization that shall have it."""
    parameters = {
        **source,
        "importId": str(import_id),
        "kinds": sorted(kinds),
        "toTenant": target.tenant_id,
        "toOrganization": str(target.organization_id),
    }
    job_id = await jobs.enqueue(
        work,
        COPY,
        parameters,
        space_id=home.id,
        name="import of an application",
        email=email,
        callback_url=callback_url,
        shown={"importSourceType": source["source"]},
        resource=("organization", target.organization_id),
        alone=True,
    )
    return queued(job_id)


async def _queue_import(
    begin: BeginWork,
    application: Space,
    form: Form,
    kinds: frozenset[Kind],
    import_id: UUID,
    source: Mapping[str, Any],
) -> Response[dict[str, Any]]:
    async with begin() as work:
        if form.content is not None:
            key = files.blob_key(work.actor.organization_id, bundle_name(import_id))
            await work.ports.blobs.put(key, form.content)
        job_id = await jobs.enqueue(
            work,
            IMPORT,
            {**source, "importId": str(import_id), "kinds": sorted(kinds)},
            space_id=application.id,
            name=f"import into '{application.name}'",
            email=form.email,
            callback_url=form.options.callback_url,
            shown={"importSourceType": source["source"], "conflictBehavior": form.options.conflict_behavior},
            alone=True,
        )
        await _note(work, import_id, application, form, source, job_id=jobs.parse_job_id(job_id))
    return queued(job_id)


async def _note(
    work: Work,
    import_id: UUID,
    application: Space,
    form: Form,
    source: Mapping[str, Any],
    *,
    job_id: UUID | None = None,
) -> None:
    included = form.options.include
    from_space_id = source.get("fromSpaceId")
    await bundles.note_import(
        work,
        import_id,
        application.id,
        source=source["source"],
        from_space_id=None if from_space_id is None else SpaceId(UUID(from_space_id)),
        conflicts=form.options.conflict_behavior,
        kinds=None if included is None else list(map(Kind, included)),
        dry_run=form.options.dry_run,
        email=form.email,
        callback_url=form.options.callback_url,
        job_id=job_id,
    )


def _not_here(name: str) -> bundles.Problem:
    kind = name.partition("/")[0].removesuffix(".yaml")
    return bundles.Problem(type=kind, name=name, message="cannot be imported here yet; say with include what is wanted")


def _spell_import(entry: Import) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "id": to_hex24(entry.id),
        "importExecutionId": to_hex24(entry.id),
        "applicationId": to_hex24(entry.space_id),
        "fromApplicationId": None if entry.from_space_id is None else to_hex24(entry.from_space_id),
        "importSourceType": entry.source,
        "status": _STATUSES[entry.status],
        "dryRun": entry.dry_run,
        "conflictBehavior": entry.conflicts,
        "include": entry.kinds,
        "email": entry.email,
        "callbackUrl": entry.callback_url,
        "jobId": None if entry.job_id is None else spell_job_id(entry.job_id),
        "sourceId": to_hex24(entry.requested_by),
        "sourceType": _ASKERS.get(entry.requested_as, "apiToken"),
        "runQueuedAt": spell_time(entry.queued_at),
        "runStartedAt": None if entry.started_at is None else spell_time(entry.started_at),
        "runCompletedAt": None if entry.completed_at is None else spell_time(entry.completed_at),
        "error": None if entry.error is None else {"name": "Validation", "message": entry.error},
        "validationErrors": spell_problems(entry.problems) or None,
    }
    return {name: value for name, value in spelled.items() if value is not None}


def spell_problems(problems: Sequence[bundles.Problem]) -> list[dict[str, str]]:
    """`validationErrors`."""
    return [{"type": each.type, "name": each.name, "message": each.message} for each in problems]


handlers = [
    export_application,
    clone_application,
    import_application,
    import_into_application,
    list_import_logs,
]
