"""What can be done with message templates."""

from uuid import UUID

import msgspec

from roadstead.core.notify import message_template_store as store
from roadstead.core.notify.message_template_model import MessageTemplate, MessageTemplateDraft
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import new_id


@operation(Grant.ALERTS_READ)
async def list_message_templates(work: Work) -> list[MessageTemplate]:
    """All, oldest first."""
    return await store.select_templates(work.tx)


@operation(Grant.ALERTS_READ)
async def get_message_template(work: Work, template_id: UUID) -> MessageTemplate:
    """One template."""
    template = await store.select_template(work.tx, template_id)
    if template is None:
        raise NotFound("template", template_id)
    return template


@operation(Grant.ALERTS_WRITE)
async def create_message_template(work: Work, draft: MessageTemplateDraft) -> MessageTemplate:
    """Keep a template for programs; nothing here sends it."""
    draft.check()
    now = work.now()
    template = MessageTemplate(id=new_id(), created_at=now, updated_at=now, **msgspec.structs.asdict(draft))
    await store.insert_template(work.tx, template)
    work.record("message-template.create", template.id, after=template)
    return template


@operation(Grant.ALERTS_WRITE)
async def replace_message_template(work: Work, template_id: UUID, draft: MessageTemplateDraft) -> MessageTemplate:
    """Everything about it anew."""
    draft.check()
    before = await get_message_template(work, template_id)
    after = msgspec.structs.replace(before, **msgspec.structs.asdict(draft), updated_at=work.now())
    await store.update_template(work.tx, after)
    work.record("message-template.update", template_id, before=before, after=after)
    return after


@operation(Grant.ALERTS_WRITE)
async def delete_message_template(work: Work, template_id: UUID) -> None:
    """Delete one."""
    if not await store.delete_template(work.tx, template_id):
        raise NotFound("template", template_id)
    work.record("message-template.delete", template_id)
