"""People and roles for tests of the dialect."""

from typing import Any

from roadstead.core.identity import ID_OF_PERMISSION, Permission, Person, RealmSession, realm_keys
from roadstead.core.identity.realm_keys import ACCESS_LIFE
from roadstead.core.identity.store.realm_sessions import insert_realm_session
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, token_for
from tests.people import add_person, entry


class Member(Client):
    """A client of somebody we know."""

    def __init__(self, tenant: Tenant, person: Person, token: str) -> None:
        super().__init__(tenant, token)
        self.person = person
        self.id = str(person.id)
        self.tenant_id = str(tenant.organization_id)

    async def permissions(self) -> set[str]:
        """What they may do."""
        told = await self.data("listUserPermissions", userId=self.id)
        return {each["alias"] for each in told["permissions"]}


async def join(tenant: Tenant, role: Role = Role.OWNER, **fields: Any) -> Member:
    """A fresh person with this role of the platform."""
    return await again(tenant, await add_person(tenant, role, **fields))


async def again(tenant: Tenant, person: Person) -> Member:
    """Somebody signs in to a tenant."""
    return Member(tenant, person, await token_for(tenant, person))


async def nowhere(tenant: Tenant, person: Person) -> Member:
    """Somebody who has signed in and has not said to which tenant."""
    now = time.now()
    session = RealmSession(
        id=new_id(),
        person_id=person.id,
        organization_id=None,
        authenticated_at=now,
        expires_at=now + ACCESS_LIFE,
    )
    async with entry(tenant.edge) as door:
        await insert_realm_session(door.tx, session, None)
        claims = {
            "iss": f"{tenant.edge.ports.public_url}/v1/id/auth/realms/olt",
            "sub": str(person.id),
            "aud": "olt-portal",
            "azp": "olt-portal",
            "typ": "Bearer",
            "iat": int(now.timestamp()),
            "exp": int(session.expires_at.timestamp()),
            "session_state": str(session.id),
        }
        return Member(tenant, person, await realm_keys.sign(door.tx, door.ports, claims))


async def add_role(owner: Client, name: str, *permissions: Permission) -> dict[str, Any]:
    """A role with these permissions."""
    listed = [{"id": str(ID_OF_PERMISSION[one])} for one in permissions]
    made: dict[str, Any] = await owner.data("createRole", json={"name": name, "permissions": listed})
    return made


async def role_named(owner: Client, name: str) -> dict[str, Any]:
    """A role of the tenant."""
    return next(role for role in await owner.data("listRoles") if role["name"] == name)


async def give(owner: Member, user_id: str, *roles: dict[str, Any]) -> None:
    """A member has these roles from now on."""
    answer = await owner.ask(
        "setTenantUserRoles",
        tenantId=owner.tenant_id,
        userId=user_id,
        json=[{"id": role["id"]} for role in roles],
    )
    assert answer.status_code == 204, answer.text
