"""Forgets what has run out: expired rows, old readings, organizations that were deleted."""

import asyncio
from datetime import datetime, timedelta

import structlog

from roadstead.core import configuration, files, registry
from roadstead.core.ports import Blobs, TelemetryStore
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId

log = structlog.get_logger()

_EVERY_S = 600.0
_AT_ONCE = 5_000
_CONFIGURATIONS_AT_ONCE = 500
_DEVICES_AT_ONCE = 50

# What may be forgotten, and when. Rows that tell somebody something stay a while after they have run out.
EXPIRING = {
    "quarantine": "expires_at < now()",
    "idempotency": "created_at < now() - interval '24 hours'",
    "sign_in_failure": "at < now() - interval '1 day'",
    "password_reset": "expires_at < now() - interval '1 day'",
    "refresh_token": "expires_at < now()",
    "client_token": "expires_at < now()",
    "session": "expires_at < now() - interval '1 day'",
    "authorization_code": "expires_at < now() - interval '1 day'",
    "realm_token": "expires_at < now()",
    "id_token": "expires_at < now()",
    "person_token": "name IS NULL AND expires_at < now()",
    "device_token": (
        "expires_at < now() OR NOT EXISTS (SELECT FROM access_key k WHERE k.tenant_id = device_token.tenant_id"
        " AND k.id = access_key_id)"
    ),
    "oidc_sign_in": "expires_at < now() - interval '1 day'",
    "realm_session": "expires_at < now() - interval '1 day'",
    "invitation": "expires_at < now() - interval '30 days'",
    "registration_token": "coalesce(used_at, revoked_at, expires_at) < now() - interval '30 days'",
    "firmware_token": "expires_at < now() - interval '1 day'",
    "revoked_certificate": "not_after < now()",
    "announcement": (
        "created_at < now() - interval '30 days' AND NOT EXISTS (SELECT FROM delivery WHERE status = 'PENDING'"
        " AND delivery.tenant_id = announcement.tenant_id AND announcement_id = announcement.id)"
    ),
    "command": "completed_at < now() - interval '90 days'",
    "command_batch": "completed_at < now() - interval '90 days'",
    "stream_ticket": "expires_at < now()",
    "stream_buffer": "seen_at < now() - interval '2 days'",
    "mailing_hit": "at < now() - interval '90 days'",
    "payload_count": "day < now() - interval '400 days'",
    "gateway_lease": "heartbeat_at < now() - interval '1 day'",
}


class Housekeeping:
    """Runs every ten minutes in each worker; doing a thing twice does no harm, for it only deletes."""

    def __init__(
        self,
        database: Database,
        telemetry: TelemetryStore,
        blobs: Blobs,
        *,
        connection_log_days: int = 30,
        deleted_device_days: int = 30,
    ) -> None:
        self._database = database
        self._telemetry = telemetry
        self._blobs = blobs
        self._connection_log_days = connection_log_days
        self._deleted_device_days = deleted_device_days

    async def run(self) -> None:
        """Until cancelled. What is away is tried again the next time."""
        while True:
            try:
                await self.tidy()
            except Unavailable as error:
                log.warning("housekeeping waits", reason=str(error))
            await asyncio.sleep(_EVERY_S)

    async def tidy(self) -> None:
        """Everything once."""
        for table, expired in EXPIRING.items():
            await self._forget(table, expired)
        await self.forget_connections()
        await self._forget_configurations()
        await self._forget_devices()
        await self._keep_retention()
        await self._remove_organizations()

    async def forget_connections(self) -> None:
        """When devices came and went, as far as it is too long ago."""
        await self._forget("device_connection", f"at < now() - interval '{self._connection_log_days} days'")

    async def _forget(self, table: str, expired: str) -> None:
        # In pieces, so that no lock is held for long.
        sql = f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {expired} LIMIT {_AT_ONCE}))"
        while True:
            async with self._database.tx() as tx:
                count = await tx.run(sql)
            if count:
                log.info("forgotten", table=table, rows=count)
            if count < _AT_ONCE:
                return

    async def _forget_configurations(self) -> None:
        """What devices were set to once, and no device is any more."""
        while True:
            async with self._database.tx() as tx:
                count = await configuration.sweep_own(tx, most=_CONFIGURATIONS_AT_ONCE)
            if count < _CONFIGURATIONS_AT_ONCE:
                return

    async def _forget_devices(self) -> None:
        """Those that were deleted too long ago to be restored."""
        stores, days, most = (self._telemetry, self._blobs), self._deleted_device_days, _DEVICES_AT_ONCE
        while await registry.forget_deleted(self._database, *stores, days=days, most=most) == most:
            pass

    async def _keep_retention(self) -> None:
        sql = (
            "SELECT tenant_id, (settings ->> 'retentionDays')::int FROM tenant WHERE settings ->> 'retentionDays' <> ''"
        )
        async with self._database.tx() as tx:
            limits = await tx.rows(sql)
        for tenant, days in limits:
            before = time.now() - timedelta(days=days)
            await self._telemetry.delete_before(TenantId(tenant), before)
            # What is open stays, however old it is.
            await self._forget_before("event", "occurred_at", TenantId(tenant), before)
            await self._forget_before("alert", "triggered_at", TenantId(tenant), before)

    async def _forget_before(self, table: str, column: str, tenant: TenantId, before: datetime) -> None:
        sql = f"""
            DELETE FROM {table} WHERE (tenant_id, id) IN (
                SELECT tenant_id, id FROM {table}
                WHERE tenant_id = %s AND {column} < %s AND (status IS NULL OR status = 'RESOLVED')
                ORDER BY {column} LIMIT {_AT_ONCE}
            )
        """
        while True:
            async with self._database.tx() as tx:
                count = await tx.run(sql, tenant, before)
            if count < _AT_ONCE:
                return

    async def _remove_organizations(self) -> None:
        sql = "SELECT tenant_id, public_id FROM tenant WHERE status = 'DELETING' AND delete_at < now()"
        async with self._database.tx() as tx:
            due = [(TenantId(tenant), organization) for tenant, organization in await tx.rows(sql)]
        for tenant, organization in due:
            # Readings and files first: if we are cut off here, the organization is still due the next time.
            await self._telemetry.delete_before(tenant, time.now() + timedelta(days=1))
            async for blob in self._blobs.list(files.blob_key(organization, "")):
                await self._blobs.delete(blob.key)
            async with self._database.tx() as tx:
                await tx.run("DELETE FROM tenant WHERE tenant_id = %s", tenant)
            log.info("organization removed", tenant=tenant)
