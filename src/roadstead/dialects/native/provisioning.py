"""/devices/registration and /devices/provision: from a one-time token to a certificate."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import Provide
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import provisioning, registry
from roadstead.core.provisioning import MintedToken, TokenStatus
from roadstead.core.work import Entry, Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.problems import Problem, problem_of
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.topics import Topics, topics_of
from roadstead.kernel.errors import Invalid, Malformed, RoadsteadError, Unauthenticated
from roadstead.kernel.ids import DeviceId, SiteId
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import spell_instant
from roadstead.web.edge import AnyRequest, Edge, certificate_of

PROVISION_PATH = "/api/v1/devices/provision"
_DEFAULT_TTL_S = int(provisioning.DEFAULT_TOKEN_LIFE.total_seconds())
_CSV = "text/csv"
_PEM = "application/x-pem-file"
_REVOCATION_LIST = "application/pkix-crl"

_OUR_NAMES = {"/name": "/deviceName", "/profile": "/deviceProfile"}

TokenPath = Annotated[str, PathParameter(name="tokenId")]
DevicePath = Annotated[str, PathParameter(name="id")]
TtlSeconds = Annotated[int, Meta(ge=300, le=2_592_000)]


# --- shapes ----------------------------------------------------------------------------------------------------------


class DeviceLineBody(Body):
    """One line of contract operation `registration.token-bulk`."""

    device_name: Annotated[str, Meta(min_length=1, max_length=120)]
    device_profile: str | None = None
    site_id: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def draft(self, *, place: str = "") -> registry.DeviceDraft:
        """In words of the core; `place` points at this device within the body."""
        return registry.DeviceDraft(
            name=self.device_name,
            profile=self.device_profile,
            site_id=None if self.site_id is None else _read_site(self.site_id, place),
            tags=self.tags,
            metadata=self.metadata,
        )


class RegistrationBody(DeviceLineBody):
    """Body of contract operation `registration.token-create`."""

    ttl_seconds: TtlSeconds = _DEFAULT_TTL_S


class BulkRegistrationBody(Body):
    """Body of contract operation `registration.token-bulk`."""

    devices: Annotated[list[DeviceLineBody], Meta(min_length=1, max_length=1000)]
    ttl_seconds: TtlSeconds = _DEFAULT_TTL_S


class ReprovisionBody(Body):
    """Body of contract operation `device.reprovision`."""

    ttl_seconds: TtlSeconds = _DEFAULT_TTL_S


class ProvisionBody(Body):
    """Body of contract operation `provision.exchange`."""

    token: str
    csr: str
    hardware_id: Annotated[str, Meta(max_length=128)] | None = None
    firmware_version: Annotated[str, Meta(max_length=64)] | None = None


class RenewalBody(Body):
    """Body of contract operation `provision.renew`."""

    csr: str


class RegistrationTokenShape(Shape):
    """Contract schema `RegistrationToken`: exactly the keys of the original's example."""

    token: str
    device_id: str
    device_name: str
    provision_endpoint: str
    expires_at: datetime

    @classmethod
    def of(cls, token: MintedToken, public_url: str) -> "RegistrationTokenShape":
        return cls(
            token=token.text,
            device_id=str(token.device_id),
            device_name=token.device_name,
            provision_endpoint=public_url + PROVISION_PATH,
            expires_at=token.expires_at,
        )


class RegistrationTokenInfoShape(Shape):
    """Contract schema `RegistrationTokenInfo`."""

    id: str
    device_id: str
    device_name: str
    status: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None = None
    used_from_ip: str | None = None

    @classmethod
    def of(cls, token: provisioning.RegistrationToken) -> "RegistrationTokenInfoShape":
        return cls(
            id=str(token.id),
            device_id=str(token.device_id),
            device_name=token.device_name,
            status=token.status,
            created_at=token.created_at,
            created_by=str(token.created_by),
            expires_at=token.expires_at,
            used_at=token.used_at,
            used_from_ip=token.used_address,
        )


class BulkLineShape(Shape):
    """One result of contract schema `BulkResult`."""

    index: int
    status: int
    id: str | None = None
    resource: RegistrationTokenShape | None = None
    problem: Problem | None = None


class BulkRegistrationShape(Shape):
    """Contract schema `BulkResult`."""

    succeeded: int
    failed: int
    results: list[BulkLineShape]


class MqttShape(Shape):
    """Where and how the device connects."""

    host: str
    port: int
    client_id: str
    topics: Topics


class ProvisionResultShape(Shape):
    """Contract schema `ProvisionResult`."""

    device_id: str
    organization_id: str
    certificate: str
    ca_chain: str
    not_after: datetime
    mqtt: MqttShape

    @classmethod
    def of(cls, provisioned: provisioning.Provisioned, edge: Edge) -> "ProvisionResultShape":
        return cls(
            device_id=str(provisioned.device_id),
            organization_id=str(provisioned.organization_id),
            certificate=provisioned.certificate,
            ca_chain=provisioned.authorities,
            not_after=provisioned.not_after,
            mqtt=MqttShape(
                host=edge.mqtt_host or urlsplit(edge.ports.public_url).hostname or "localhost",
                port=edge.mqtt_port,
                client_id=str(provisioned.device_id),
                topics=topics_of(provisioned.organization_id, provisioned.device_id),
            ),
        )


# --- registration tokens ---------------------------------------------------------------------------------------------


class TableRequest(Request[Any, Any, Any]):
    """A request whose devices may also come as CSV, one a line.

    Columns are the fields of a device; `tag.<key>` is a tag, `metadata` is JSON, an empty cell is absent.
    """

    async def json(self) -> Any:
        """The body as the JSON that says the same."""
        if self.content_type[0] != _CSV:
            return await super().json()
        try:
            lines = csv.DictReader(io.StringIO((await self.body()).decode("utf-8-sig")), strict=True)
            return {"devices": [_read_line(line) for line in lines]}
        except (UnicodeDecodeError, csv.Error) as error:
            raise Malformed(f"the body is not CSV in UTF-8: {error}") from error


@post("/tokens", operation_id="registration.token-create")
@idempotent
async def create_token(work: Work, data: RegistrationBody) -> RegistrationTokenShape:
    """Creates the device in PENDING and mints a one-time token for it; the token text is in this answer only."""
    try:
        token = await provisioning.register_device(work, data.draft(), life=timedelta(seconds=data.ttl_seconds))
    except RoadsteadError as error:
        raise _in_our_words(error) from error.__cause__
    return RegistrationTokenShape.of(token, work.ports.public_url)


@post("/tokens/bulk", operation_id="registration.token-bulk", request_class=TableRequest)
@idempotent
async def create_tokens(
    request: AnyRequest, work: Work, data: BulkRegistrationBody
) -> Response[BulkRegistrationShape] | Response[str]:
    """Up to 1,000 devices at once, as JSON or CSV; a line per device, as CSV when Accept is text/csv. 207: some failed.

    CSV has the columns deviceName, deviceProfile, siteId, metadata (JSON) and `tag.<key>`.
    """
    drafts = [device.draft(place=f"/devices/{index}") for index, device in enumerate(data.devices)]
    outcomes = await provisioning.register_devices(work, drafts, life=timedelta(seconds=data.ttl_seconds))
    lines = [_spell_outcome(request, index, outcome, work.ports.public_url) for index, outcome in enumerate(outcomes)]
    failed = sum(line.problem is not None for line in lines)
    status = 207 if failed else 201
    if request.accept.best_match(["application/json", _CSV]) == _CSV:
        return Response(_spell_csv(lines, data.devices), status_code=status, media_type=_CSV)
    shape = BulkRegistrationShape(succeeded=len(lines) - failed, failed=failed, results=lines)
    return Response(shape, status_code=status)


@get("/tokens", operation_id="registration.token-list")
async def list_tokens(
    work: Work,
    page: PageQuery,
    status: TokenStatus = TokenStatus.PENDING,
    device_id: Annotated[str | None, QueryParameter(name="deviceId")] = None,
) -> PageShape[RegistrationTokenInfoShape]:
    """Tokens without their text, newest first; pending ones by default."""
    device = None if device_id is None else DeviceId(read_id(device_id, "device"))
    tokens = await provisioning.list_tokens(work, status=status, device_id=device, query=page)
    return page_shape(tokens, page, RegistrationTokenInfoShape.of)


@get("/tokens/{tokenId:str}", operation_id="registration.token-get")
async def get_token(work: Work, token_id: TokenPath) -> RegistrationTokenInfoShape:
    """State of one token."""
    token = await provisioning.get_token(work, read_id(token_id, "registration token"))
    return RegistrationTokenInfoShape.of(token)


@delete("/tokens/{tokenId:str}", operation_id="registration.token-revoke")
async def revoke_token(
    work: Work, token_id: TokenPath, delete_device: Annotated[bool, QueryParameter(name="deleteDevice")] = False
) -> None:
    """Revokes a pending token; a device that never provisioned is deleted with deleteDevice=true. 409: already used."""
    token = read_id(token_id, "registration token")
    await provisioning.revoke_token(work, token, delete_device=delete_device)


@post("/{id:str}/registration/token", operation_id="device.reprovision")
@idempotent
async def reprovision(work: Work, device_id: DevicePath, data: ReprovisionBody | None = None) -> RegistrationTokenShape:
    """New one-time token for an existing device; earlier open ones are revoked and the device is PENDING again."""
    life = timedelta(seconds=_DEFAULT_TTL_S if data is None else data.ttl_seconds)
    token = await provisioning.reprovision_device(work, DeviceId(read_id(device_id, "device")), life=life)
    return RegistrationTokenShape.of(token, work.ports.public_url)


# --- certificates ----------------------------------------------------------------------------------------------------


@post("/", operation_id="provision.exchange")
async def exchange(request: AnyRequest, entry: Entry, data: ProvisionBody) -> ProvisionResultShape:
    """The device gives token and CSR and gets its certificate. One use: the second call is 410."""
    edge: Edge = request.app.state.edge
    provisioned = await provisioning.exchange_token(
        entry, data.token, data.csr, hardware_id=data.hardware_id, firmware_version=data.firmware_version
    )
    return ProvisionResultShape.of(provisioned, edge)


def provide_certificate(request: AnyRequest) -> bytes:
    """The certificate (DER) that the caller has shown. Raises `Unauthenticated` without one."""
    certificate = certificate_of(request)
    if certificate is None:
        raise Unauthenticated("connect over TLS with the device's certificate")
    return certificate


@post(
    "/renew",
    operation_id="provision.renew",
    dependencies={"certificate": Provide(provide_certificate, sync_to_thread=False)},
)
async def renew(request: AnyRequest, entry: Entry, certificate: bytes, data: RenewalBody) -> ProvisionResultShape:
    """New certificate for a new CSR, authenticated by the present one over TLS, from 30 days before expiry.

    The present one stays good for a week, so that an answer that is lost locks nobody out.
    """
    edge: Edge = request.app.state.edge
    return ProvisionResultShape.of(await provisioning.renew_certificate(entry, certificate, data.csr), edge)


@get("/ca", operation_id="provision.ca", media_type=_PEM)
async def get_authorities(entry: Entry) -> str:
    """CA chain (PEM) for broker and API: intermediate, then root."""
    return await provisioning.get_authority_chain(entry)


@get("/crl", operation_id="provision.crl", media_type=_REVOCATION_LIST)
async def get_revocation_list(entry: Entry) -> bytes:
    """Revocation list (RFC 5280, DER) of the device certificates issued here."""
    return await provisioning.get_revocation_list(entry)


# --- spelling --------------------------------------------------------------------------------------------------------


def _read_site(text: str, place: str) -> SiteId:
    try:
        return SiteId(read_id(text, "site"))
    except RoadsteadError as error:
        raise Invalid.field(f"{place}/siteId", "is not a site of this organization", code="not-found") from error


def _in_our_words(error: RoadsteadError, *, place: str = "") -> RoadsteadError:
    """What the core says of a device, with the fields that this operation calls differently."""
    error.fields = tuple(
        msgspec.structs.replace(field, pointer=place + _OUR_NAMES.get(field.pointer, field.pointer))
        if field.place == "body"
        else field
        for field in error.fields
    )
    return error


def _read_line(line: dict[str | None, Any]) -> dict[str, Any]:
    device: dict[str, Any] = {}
    for column, cell in line.items():
        if column is None:
            raise Malformed("a line of the CSV has more cells than there are columns")
        if not cell:
            continue
        if column.startswith("tag."):
            device.setdefault("tags", {})[column.removeprefix("tag.")] = cell
        elif column == "metadata":
            try:
                device[column] = msgspec.json.decode(cell)
            except msgspec.DecodeError as error:
                raise Malformed(f"a cell of the column metadata is not JSON: {error}") from error
        else:
            device[column] = cell
    return device


def _spell_outcome(
    request: AnyRequest, index: int, outcome: MintedToken | RoadsteadError, public_url: str
) -> BulkLineShape:
    if isinstance(outcome, RoadsteadError):
        problem = problem_of(request, _in_our_words(outcome, place=f"/devices/{index}"))
        return BulkLineShape(index=index, status=problem.status, problem=problem)
    token = RegistrationTokenShape.of(outcome, public_url)
    return BulkLineShape(index=index, status=201, id=token.device_id, resource=token)


def _spell_csv(lines: Sequence[BulkLineShape], devices: Sequence[DeviceLineBody]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["index", "status", "deviceName", "deviceId", "token", "provisionEndpoint", "expiresAt", "problem"])
    for line, device in zip(lines, devices, strict=True):
        token = line.resource
        writer.writerow(
            [
                line.index,
                line.status,
                device.device_name,
                token.device_id if token else "",
                token.token if token else "",
                token.provision_endpoint if token else "",
                spell_instant(token.expires_at) if token else "",
                line.problem.detail if line.problem else "",
            ]
        )
    return text.getvalue()


router = Router(
    "/v1/devices",
    route_handlers=[
        Router("/registration", route_handlers=[create_token, create_tokens, list_tokens, get_token, revoke_token]),
        Router("/provision", route_handlers=[exchange, renew, get_authorities, get_revocation_list]),
        reprovision,
    ],
    tags=["provisioning"],
)
