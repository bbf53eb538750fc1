"""What tests of firmware have in common: releases with content, made over HTTP."""

import hashlib
import os
from typing import Any

from tests.conftest import Tenant
from tests.dialects.native.fleet import ok

FIRMWARE = "/api/v1/firmware"
PROFILE: dict[str, Any] = {"key": "pump", "profileVersion": "1.0", "name": "Pump", "components": []}


async def add_profile(tenant: Tenant, key: str = "pump") -> None:
    """A device profile, version 1.0."""
    ok(await tenant.api.post("/api/v1/device-profiles", json=PROFILE | {"key": key}))


def describe(content: bytes, version: str = "1.1.0", **fields: Any) -> dict[str, Any]:
    """The body that registers a release with this content."""
    sha256 = hashlib.sha256(content).hexdigest()
    body = {"name": "controller", "version": version, "deviceProfile": "pump", "sizeBytes": len(content)}
    return {**body, "sha256": sha256, **fields}


async def register(tenant: Tenant, content: bytes, version: str = "1.1.0", **fields: Any) -> Any:
    """A DRAFT without its content, as answered."""
    return ok(await tenant.api.post(FIRMWARE, json=describe(content, version, **fields)))


async def add_firmware(tenant: Tenant, version: str = "1.1.0", *, content: bytes | None = None, **fields: Any) -> Any:
    """A published release, as answered."""
    content = os.urandom(1_000) if content is None else content
    made = await register(tenant, content, version, **fields)
    ok(await tenant.api.put(made["upload"]["uploadUrl"], content=content))
    return ok(await tenant.api.post(f"{FIRMWARE}/{made['id']}/publish"))
