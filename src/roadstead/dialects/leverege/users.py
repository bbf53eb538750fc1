"""/v1/user: people as the project they work in knows them (contract section 6, and 2.4 for patches)."""

from typing import Annotated, Any, Self
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import access, identity
from roadstead.core.identity import AccountChange, AccountDraft, MemberAccount
from roadstead.core.work import Account, Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, listed
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Deleted, Status
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Forbidden, NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ProjectPath = Annotated[str, PathParameter(name="projectId")]
UserPath = Annotated[str, PathParameter(name="userId")]
NamePath = Annotated[str, PathParameter(name="username")]


class UserShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`User`."""

    id: str
    username: str
    name: str
    email: str | UnsetType
    phone: str | None
    project_id: str
    metadata: dict[str, Any]
    created: int
    last_modified: int
    last_login: int | UnsetType

    @classmethod
    def of(cls, account: MemberAccount, work: Work) -> Self:
        return cls(
            id=to_base62(account.person_id),
            username=account.username,
            name=account.name,
            email=account.email or UNSET,
            phone=account.phone,
            project_id=to_base62(work.actor.organization_id),
            metadata=account.metadata,
            created=to_millis(account.created_at),
            last_modified=to_millis(account.updated_at),
            last_login=UNSET if account.signed_in_at is None else to_millis(account.signed_in_at),
        )


class UserBody(msgspec.Struct, frozen=True, kw_only=True):
    """`UserInput`."""

    username: str
    password: str
    name: str = ""
    email: str | None = None
    phone: str | None = None
    metadata: dict[str, Any] = {}

    def draft(self) -> AccountDraft:
        """The account to be made. Somebody who is called by an address has it, too."""
        email = self.email or (self.username if "@" in self.username else None)
        return AccountDraft(**{**msgspec.structs.asdict(self), "email": email})


class UserFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a patch of a user is about."""

    username: str
    name: str = ""
    email: str | None = None
    phone: str | None = None
    metadata: dict[str, Any] = {}
    password: str | UnsetType = UNSET

    @classmethod
    def of(cls, account: MemberAccount) -> Self:
        fields = {name: getattr(account, name) for name in ("username", "name", "email", "phone", "metadata")}
        return cls(**fields)

    def change(self) -> AccountChange:
        """All of them as they shall be."""
        return AccountChange(**msgspec.structs.asdict(self))


class PasswordBody(msgspec.Struct, rename="camel"):
    """Body of `user.change-password`."""

    old_password: str
    new_password: str


@get("/v1/user", operation_id="user.list")
async def list_users(request: AnyRequest, office: Work) -> Listed[UserShape]:
    """Everybody in the project that the caller works in."""
    await check(office, "user.list")
    return await list_accounts(request, office)


@post("/v1/user", operation_id="user.create", status_code=200)
async def create_user(request: AnyRequest, office: Work) -> UserShape:
    """An account in the project that the caller works in."""
    await check(office, "user.create")
    body = read_as(await read_body(request), UserBody)
    return UserShape.of(await identity.create_account(office, body.draft()), office)


@get("/v1/user/{userId:str}", operation_id="user.get")
async def get_user(office: Work, user_id: UserPath) -> UserShape:
    """One of them; oneself always."""
    return UserShape.of(await find_account(office, user_id, "user.read"), office)


@patch("/v1/user/{userId:str}", operation_id="user.update")
async def update_user(request: AnyRequest, office: Work, user_id: UserPath) -> UserShape:
    """By a list of patch operations or a partial object; oneself always."""
    return await change_account(request, office, user_id)


@delete("/v1/user/{userId:str}", operation_id="user.delete", status_code=200)
async def delete_user(office: Work, user_id: UserPath) -> Deleted:
    """Out of the project that the caller works in; whoever has nothing but an account there is gone."""
    return await delete_account(office, user_id)


@post("/v1/user/{userId:str}/changePassword", operation_id="user.change-password", status_code=200)
async def change_password(request: AnyRequest, office: Work, user_id: UserPath) -> Status:
    """One's own. All other sessions end."""
    body = read_as(await read_body(request), PasswordBody)
    if office.actor.kind is not ActorKind.USER or parse_base62(user_id) != office.actor.id:
        raise Forbidden("everybody changes their own password")
    account = Account(office.actor, office.tx, office.ports)
    await identity.change_account_password(account, current=body.old_password, new=body.new_password)
    return Status()


@get("/v1/project/{projectId:str}/user/byUsername/{username:str}", operation_id="user.by-username")
async def get_user_by_name(office: Work, project_id: ProjectPath, username: NamePath) -> UserShape:
    """One of a project, by name."""
    check_project(office, project_id)
    await check(office, "user.read")
    return UserShape.of(await identity.get_account_named(office, username), office)


async def list_accounts(request: AnyRequest, work: Work, among: list[UUID] | None = None) -> Listed[UserShape]:
    """Members, or those among some, as the query wants them."""
    query = ListQuery.of(request)
    found, total = await identity.list_accounts(
        work, among=among, text=query.search, limit=query.per_page, offset=query.start_index
    )
    return listed([UserShape.of(account, work) for account in found], total, query)


async def find_account(work: Work, user_id: str, permission: str) -> MemberAccount:
    """One member, for a caller who has this permission or is it. Raises `NotFound`."""
    person_id = read_user_id(user_id)
    if person_id != work.actor.id:
        await check(work, permission)
    return await identity.get_account(work, person_id)


async def change_account(request: AnyRequest, work: Work, user_id: str) -> UserShape:
    """A member after a patch."""
    before = await find_account(work, user_id, "user.update")
    await _check_may_manage(work, before)
    fields = patched(UserFields.of(before), await read_body(request))
    return UserShape.of(await identity.change_account(work, before.person_id, fields.change()), work)


async def delete_account(work: Work, user_id: str) -> Deleted:
    """Out of the project."""
    account = await find_account(work, user_id, "user.delete")
    await _check_may_manage(work, account)
    await identity.delete_account(work, account.person_id)
    return Deleted.of(account.person_id)


async def _check_may_manage(work: Work, account: MemberAccount) -> None:
    if account.person_id != work.actor.id:
        await access.check_may_manage(work, account.person_id)


def read_user_id(text: str) -> UUID:
    """Raises `NotFound` for what cannot be one."""
    id_ = parse_base62(text)
    if id_ is None:
        raise NotFound("user", text)
    return id_


handlers = [
    list_users,
    create_user,
    get_user,
    update_user,
    delete_user,
    change_password,
    get_user_by_name,
]
