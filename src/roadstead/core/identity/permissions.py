"""Permissions of the Lightelligence dialect, and what each of them lets somebody do in the core."""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from roadstead.kernel import ids
from roadstead.kernel.actor import Grant, Role


class Permission(StrEnum):
    """One of the 28 aliases (contract lightelligence, `auth_model.permissions`)."""

    APPLICATIONS_READ = "applications:read"
    APPLICATIONS_WRITE = "applications:write"
    APPLICATIONS_DEVELOPMENT_READ = "applications_development:read"
    APPLICATIONS_DEVELOPMENT_WRITE = "applications_development:write"
    AUDIT_LOGS_READ = "audit_logs:read"
    DEVICE_CERTIFICATES_READ = "device_certificates:read"
    DEVICE_CERTIFICATES_WRITE = "device_certificates:write"
    DEVICES_BASE_DATA_READ = "devices_base_data:read"
    DEVICES_BASE_DATA_WRITE = "devices_base_data:write"
    DEVICES_HISTORICAL_DATA_READ = "devices_historical_data:read"
    DEVICES_HISTORICAL_DATA_WRITE = "devices_historical_data:write"
    DEVICES_STATES_READ = "devices_states:read"
    DEVICES_STREAMING_READ = "devices_streaming:read"
    DEVICETYPES_READ = "devicetypes:read"
    DEVICETYPES_WRITE = "devicetypes:write"
    FIRMWARE_READ = "firmware:read"
    FIRMWARE_WRITE = "firmware:write"
    INGEST_WRITE = "ingest:write"
    NOTIFICATION_READ = "notification:read"
    NOTIFICATION_WRITE = "notification:write"
    TENANT_READ = "tenant:read"
    TENANT_WRITE = "tenant:write"
    TENANT_USER_MANAGEMENT_READ = "tenant_user_management:read"
    TENANT_USER_MANAGEMENT_WRITE = "tenant_user_management:write"
    TIMESERIES_READ = "timeseries:read"
    TIMESERIES_WRITE = "timeseries:write"
    TIMESERIES_DATA_READ = "timeseries_data:read"
    TIMESERIES_DATA_WRITE = "timeseries_data:write"


ID_OF_PERMISSION: dict[Permission, UUID] = {
    one: ids.from_bytes(hashlib.sha256(one.encode()).digest()[:12]) for one in Permission
}
"""The same on every platform, so that programs may write them down."""
PERMISSION_OF_ID: dict[UUID, Permission] = {id_: one for one, id_ in ID_OF_PERMISSION.items()}


_P, _G = Permission, Grant
_GRANTS: dict[Permission, frozenset[Grant]] = {
    _P.APPLICATIONS_READ: frozenset({_G.APPLICATIONS_READ}),
    _P.APPLICATIONS_WRITE: frozenset({_G.APPLICATIONS_READ, _G.APPLICATIONS_WRITE}),
    _P.APPLICATIONS_DEVELOPMENT_READ: frozenset({_G.APPLICATIONS_READ}),
    _P.APPLICATIONS_DEVELOPMENT_WRITE: frozenset({_G.APPLICATIONS_READ, _G.APPLICATIONS_WRITE}),
    _P.AUDIT_LOGS_READ: frozenset({_G.AUDIT_READ}),
    _P.DEVICE_CERTIFICATES_READ: frozenset({_G.DEVICES_READ}),
    _P.DEVICE_CERTIFICATES_WRITE: frozenset({_G.DEVICES_READ, _G.CREDENTIALS_WRITE}),
    _P.DEVICES_BASE_DATA_READ: frozenset({_G.DEVICES_READ, _G.COMMANDS_READ, _G.CONFIG_READ, _G.QUARANTINE_READ}),
    _P.DEVICES_BASE_DATA_WRITE: frozenset(
        {_G.DEVICES_READ, _G.DEVICES_WRITE, _G.COMMANDS_WRITE, _G.CONFIG_READ, _G.CONFIG_WRITE}
    ),
    _P.DEVICES_HISTORICAL_DATA_READ: frozenset({_G.DEVICES_READ, _G.READINGS_READ, _G.EVENTS_READ}),
    _P.DEVICES_HISTORICAL_DATA_WRITE: frozenset({_G.DEVICES_READ, _G.READINGS_DELETE}),
    _P.DEVICES_STATES_READ: frozenset({_G.DEVICES_READ, _G.READINGS_READ}),
    _P.DEVICES_STREAMING_READ: frozenset({_G.DEVICES_READ, _G.READINGS_READ, _G.EVENTS_READ}),
    _P.DEVICETYPES_READ: frozenset({_G.PROFILES_READ}),
    _P.DEVICETYPES_WRITE: frozenset({_G.PROFILES_READ, _G.PROFILES_WRITE}),
    _P.FIRMWARE_READ: frozenset({_G.FIRMWARE_READ, _G.DEVICES_READ}),
    _P.FIRMWARE_WRITE: frozenset({_G.FIRMWARE_READ, _G.FIRMWARE_WRITE, _G.DEVICES_READ}),
    _P.INGEST_WRITE: frozenset({_G.READINGS_WRITE, _G.EVENTS_WRITE}),
    _P.NOTIFICATION_READ: frozenset({_G.ALERTS_READ}),
    _P.NOTIFICATION_WRITE: frozenset({_G.ALERTS_READ, _G.ALERTS_WRITE}),
    _P.TENANT_READ: frozenset({_G.ORGANIZATION_READ}),
    _P.TENANT_WRITE: frozenset({_G.ORGANIZATION_READ, _G.ORGANIZATION_WRITE}),
    _P.TENANT_USER_MANAGEMENT_READ: frozenset({_G.ORGANIZATION_READ}),
    _P.TENANT_USER_MANAGEMENT_WRITE: frozenset({_G.ORGANIZATION_READ, _G.MEMBERS_WRITE}),
    _P.TIMESERIES_READ: frozenset({_G.READINGS_READ}),
    _P.TIMESERIES_WRITE: frozenset({_G.READINGS_READ, _G.READINGS_WRITE, _G.READINGS_DELETE}),
    _P.TIMESERIES_DATA_READ: frozenset({_G.READINGS_READ}),
    _P.TIMESERIES_DATA_WRITE: frozenset({_G.READINGS_READ, _G.READINGS_WRITE, _G.READINGS_DELETE}),
}

_MANAGEMENT = frozenset(
    {_P.TENANT_READ, _P.TENANT_WRITE, _P.TENANT_USER_MANAGEMENT_READ, _P.TENANT_USER_MANAGEMENT_WRITE}
)
NEVER_FOR_APPLICATIONS = _MANAGEMENT
"""What no application of a tenant's own making may do (contract, `never_granted_to_custom_applications`)."""

OWNER = frozenset(Permission)
WRITER = OWNER - _MANAGEMENT
READER = frozenset(one for one in Permission if one.endswith(":read")) - {_P.TENANT_USER_MANAGEMENT_READ}

PERMISSIONS_OF_ROLE: dict[Role, frozenset[Permission]] = {Role.OWNER: OWNER, Role.ADMIN: OWNER, Role.MEMBER: WRITER}
"""What somebody may do who has no roles of the dialect, only the one of the platform."""


def grants_of_permissions(permissions: Iterable[Permission]) -> frozenset[Grant]:
    """What somebody with these may do in the core."""
    return frozenset().union(*(_GRANTS.get(one, frozenset()) for one in permissions))
