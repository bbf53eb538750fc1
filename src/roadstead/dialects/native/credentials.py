"""/devices/{id}/credentials: the certificates by which a device is known."""

from datetime import UTC, datetime
from typing import Annotated

from litestar import Router, get, post
from litestar.params import PathParameter
from msgspec import Meta

from roadstead.core import provisioning
from roadstead.core.provisioning import CredentialStatus
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import PageQuery

DevicePath = Annotated[str, PathParameter(name="id")]


# The contract has no word for what somebody keeps out for a while.
_STATUSES = {CredentialStatus.INACTIVE: CredentialStatus.REVOKED}


class CredentialShape(Shape):
    """Contract schema `DeviceCredential`."""

    serial_number: str
    fingerprint_sha256: str
    not_before: datetime
    not_after: datetime
    status: str

    @classmethod
    def of(cls, credential: provisioning.Credential) -> "CredentialShape":
        status = credential.status(time.now())
        return cls(
            serial_number=credential.serial_number,
            fingerprint_sha256=credential.fingerprint.hex(),
            not_before=credential.not_before.astimezone(UTC),
            not_after=credential.not_after.astimezone(UTC),
            status=_STATUSES.get(status, status),
        )


class CertificateBody(Body):
    """Body of `device.credentials-register`."""

    certificate: str
    """PEM."""


class RevocationBody(Body):
    """Body of contract operation `device.credentials-revoke`."""

    serial_number: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    reason: Annotated[str, Meta(max_length=200)] | None = None


@get("/", operation_id="device.credentials")
async def list_credentials(work: Work, device_id: DevicePath, page: PageQuery) -> PageShape[CredentialShape]:
    """Certificates of the device: serial, fingerprint, validity, state; newest first."""
    credentials = await provisioning.list_credentials(work, DeviceId(read_id(device_id, "device")), page)
    return page_shape(credentials, page, CredentialShape.of)


@post("/", operation_id="device.credentials-register")
async def register_certificate(work: Work, device_id: DevicePath, data: CertificateBody) -> CredentialShape:
    """Registers a certificate that was issued elsewhere, or by the device itself; its holder is the device.

    409 when the certificate is known already, whoever's it is.
    """
    device = DeviceId(read_id(device_id, "device"))
    return CredentialShape.of(await provisioning.register_certificate(work, device, data.certificate))


@post("/revoke", operation_id="device.credentials-revoke", status_code=204)
async def revoke_credentials(work: Work, device_id: DevicePath, data: RevocationBody | None = None) -> None:
    """Revokes all or the named certificate; open broker sessions are closed."""
    body = data or RevocationBody()
    await provisioning.revoke_credentials(
        work,
        DeviceId(read_id(device_id, "device")),
        serial_number=body.serial_number,
        reason=body.reason,
    )


router = Router(
    "/v1/devices/{id:str}/credentials",
    route_handlers=[list_credentials, register_certificate, revoke_credentials],
    tags=["devices"],
)
