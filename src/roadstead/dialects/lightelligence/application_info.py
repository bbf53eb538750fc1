"""/v1/application-info: what an application asks about itself, with a token of its own."""

from uuid import UUID

import msgspec
from litestar import Router, get

from roadstead.core import applications
from roadstead.core.applications import InstallingTenant
from roadstead.core.identity import Bearer
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.applications import InstallationShape
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
)
from roadstead.dialects.lightelligence.errors import Service

_OWN = {"service": Service.APPLICATIONS, "token": "client"}


class InstalledTenantShape(msgspec.Struct, rename="camel"):
    """A tenant in which the application can work."""

    tenant_id: UUID
    name: str

    @classmethod
    def of(cls, tenant: InstallingTenant) -> "InstalledTenantShape":
        return cls(tenant.organization_id, tenant.name)


@get("/installed-tenants", operation_id="listInstalledTenants", opt=_OWN)
async def list_installed_tenants(
    entry: Entry, bearer: Bearer, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[InstalledTenantShape]:
    """Where it can work, whether or not its token names a tenant."""
    found = await applications.list_own_reach(entry, bearer, page_query(page, page_size))
    return paged(found, page, page_size, InstalledTenantShape.of)


@get("/installation", operation_id="getOwnInstallation", opt=_OWN)
async def get_own_installation(entry: Entry, bearer: Bearer) -> Data[InstallationShape]:
    """What the tenant of its token has consented to."""
    installation = await applications.get_own_installation(entry, bearer)
    return Data(InstallationShape.of(bearer.within_tenant().organization_id, installation))


router = Router("/v1/application-info", route_handlers=[list_installed_tenants, get_own_installation])
