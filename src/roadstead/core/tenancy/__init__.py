"""Organizations: the tenants of the platform, and their settings."""

from roadstead.core.tenancy.model import (
    Organization,
    OrganizationChange,
    OrganizationDraft,
    OrganizationSettings,
    OrganizationStatus,
    UnknownSensorPolicy,
)
from roadstead.core.tenancy.service import (
    change_organization,
    check_name_is_free,
    delete_organization,
    found_organization,
    get_organization,
    is_platform_empty,
    list_organizations,
    load_organization,
    load_organization_named,
    restore_organization,
    suspend_organization,
)

__all__ = [
    "Organization",
    "OrganizationChange",
    "OrganizationDraft",
    "OrganizationSettings",
    "OrganizationStatus",
    "UnknownSensorPolicy",
    "change_organization",
    "check_name_is_free",
    "delete_organization",
    "found_organization",
    "get_organization",
    "is_platform_empty",
    "list_organizations",
    "load_organization",
    "load_organization_named",
    "restore_organization",
    "suspend_organization",
]
