"""/v1/devices/{deviceId}/certificates: by which certificates a device is known (contract section 11)."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import provisioning
from roadstead.core.identity import Permission
from roadstead.core.provisioning import CredentialStatus
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    PageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.topics import DIALECT
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DevicePath = Annotated[UUID, PathParameter(name="deviceId")]
CertificatePath = Annotated[UUID, PathParameter(name="certId")]
Status = Literal["valid", "expired", "revoked", "inactive"]

_READ = {"service": Service.CERTIFICATES, "permissions": [Permission.DEVICE_CERTIFICATES_READ]}
_WRITE = {"service": Service.CERTIFICATES, "permissions": [Permission.DEVICE_CERTIFICATES_WRITE]}
_READ_AS: dict[Status, CredentialStatus] = {
    "valid": CredentialStatus.ACTIVE,
    "expired": CredentialStatus.EXPIRED,
    "revoked": CredentialStatus.REVOKED,
    "inactive": CredentialStatus.INACTIVE,
}
# What a newer certificate has replaced is out of use: the dialect has no other word for it.
_SPELLED: dict[CredentialStatus, Status] = {
    **{read: told for told, read in _READ_AS.items()},
    CredentialStatus.SUPERSEDED: "inactive",
}


class CertificateBody(msgspec.Struct):
    """Body of `assignCertificate`."""

    cert: str
    """PEM."""
    status: Status = "valid"


class StatusBody(msgspec.Struct):
    """Body of `updateCertificate`."""

    status: Status | UnsetType = UNSET


class CertificateShape(msgspec.Struct):
    """A certificate of a device."""

    id: UUID
    cert: str
    """PEM; empty for one that is older than its being kept."""
    status: Status

    @classmethod
    def of(cls, credential: provisioning.Credential) -> "CertificateShape":
        status = _SPELLED[credential.status(time.now())]
        return cls(credential.id, provisioning.spell_certificate(credential), status)


@get("/", operation_id="listCertificates", opt=_READ)
async def list_certificates(
    work: Work, device_id: DevicePath, page: PageNumber = 0, page_size: PageSize = DEFAULT_PAGE_SIZE
) -> Paged[CertificateShape]:
    """Those of the device, newest first, however they came to it."""
    found = await provisioning.list_credentials(work, DeviceId(device_id), page_query(page, page_size))
    return paged(found, page, page_size, CertificateShape.of)


@post("/", operation_id="assignCertificate", opt=_WRITE)
async def assign_certificate(work: Work, request: AnyRequest, device_id: DevicePath) -> Data[CertificateShape]:
    """Registers one; 409 when any device has it."""
    body = read_as(await read_json(request), CertificateBody)
    credential = await provisioning.assign_certificate(
        work, DeviceId(device_id), body.cert, dialect=DIALECT, status=_READ_AS[body.status]
    )
    return Data(CertificateShape.of(credential))


@get("/{certId:str}", operation_id="getCertificate", opt=_READ)
async def get_certificate(work: Work, device_id: DevicePath, certificate_id: CertificatePath) -> Data[CertificateShape]:
    """One of them."""
    return Data(CertificateShape.of(await provisioning.get_certificate(work, DeviceId(device_id), certificate_id)))


@patch("/{certId:str}", operation_id="updateCertificate", opt=_WRITE)
async def change_certificate(
    work: Work, request: AnyRequest, device_id: DevicePath, certificate_id: CertificatePath
) -> Data[CertificateShape]:
    """Changes the status, if one is given; only `valid` may connect."""
    body = read_as(await read_json(request), StatusBody)
    device = DeviceId(device_id)
    if body.status is UNSET:
        return Data(CertificateShape.of(await provisioning.get_certificate(work, device, certificate_id)))
    changed = await provisioning.change_certificate(work, device, certificate_id, _READ_AS[body.status])
    return Data(CertificateShape.of(changed))


@delete("/{certId:str}", operation_id="deleteCertificate", opt=_WRITE)
async def delete_certificate(work: Work, device_id: DevicePath, certificate_id: CertificatePath) -> None:
    """Unbinds it."""
    await provisioning.delete_certificate(work, DeviceId(device_id), certificate_id)


router = Router(
    "/v1/devices/{deviceId:str}/certificates",
    route_handlers=[list_certificates, assign_certificate, get_certificate, change_certificate, delete_certificate],
)
