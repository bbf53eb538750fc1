"""/v1/system/{systemId}/contact: whom to call about a system."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.params import PathParameter

from roadstead.core import registry
from roadstead.core.registry import Contact, ContactDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.systems import SystemPath, find_system
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest


class ContactShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`Contact`."""

    id: str
    name: str
    email: str | None = None
    phone: str | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, contact: Contact) -> "ContactShape":
        return cls(
            id=to_base62(contact.id),
            name=contact.name,
            email=contact.email,
            phone=contact.phone,
            metadata=contact.notes.get("leverege", {}).get("metadata"),
        )


class ContactBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `system.contact-create`."""

    name: str
    email: str | None = None
    phone: str | None = None
    metadata: dict[str, Any] | None = None

    def draft(self) -> ContactDraft:
        """In words of the core."""
        notes = {} if self.metadata is None else {"leverege": {"metadata": self.metadata}}
        return ContactDraft(name=self.name, email=self.email, phone=self.phone, notes=notes)


@get("/v1/system/{systemId:str}/contact", operation_id="system.contact-list")
async def list_contacts(request: AnyRequest, work: Work, name: SystemPath) -> Listed[ContactShape]:
    """Oldest first."""
    space = await find_system(work, name, "system.read")
    return pick(await registry.list_contacts(work, space.id), ListQuery.of(request), ContactShape.of)


@post("/v1/system/{systemId:str}/contact", operation_id="system.contact-create", status_code=200)
async def create_contact(request: AnyRequest, work: Work, name: SystemPath) -> ContactShape:
    """Nothing is sent to them by itself."""
    space = await find_system(work, name, "system.update")
    body = read_as(await read_body(request), ContactBody)
    return ContactShape.of(await registry.create_contact(work, space.id, body.draft()))


@delete("/v1/system/{systemId:str}/contact/{contactId:str}", operation_id="system.contact-delete", status_code=200)
async def delete_contact(
    work: Work, name: SystemPath, contact_id: Annotated[str, PathParameter(name="contactId")]
) -> Deleted:
    """Take somebody off the list."""
    space = await find_system(work, name, "system.update")
    id_ = parse_base62(contact_id)
    if id_ is None:
        raise NotFound("contact", contact_id)
    await registry.delete_contact(work, space.id, id_)
    return Deleted.of(id_)


handlers = [list_contacts, create_contact, delete_contact]
