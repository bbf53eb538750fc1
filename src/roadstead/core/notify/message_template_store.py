"""The SQL of message templates."""

from uuid import UUID

from roadstead.core.notify.message_template_model import MessageTemplate
from roadstead.db import Tx

_COLUMNS = "id, name, medium, subject, html, plain, created_at, updated_at"


async def select_templates(tx: Tx) -> list[MessageTemplate]:
    """All, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM message_template WHERE tenant_id = %s ORDER BY created_at, id"
    return await tx.all(MessageTemplate, sql, tx.tenant)


async def select_template(tx: Tx, template_id: UUID) -> MessageTemplate | None:
    """One template."""
    sql = f"SELECT {_COLUMNS} FROM message_template WHERE tenant_id = %s AND id = %s"
    return await tx.one(MessageTemplate, sql, tx.tenant, template_id)


async def insert_template(tx: Tx, template: MessageTemplate) -> None:
    """Add one."""
    sql = f"INSERT INTO message_template (tenant_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    values = (template.medium, template.subject, template.html, template.plain)
    await tx.run(sql, tx.tenant, template.id, template.name, *values, template.created_at, template.updated_at)


async def update_template(tx: Tx, template: MessageTemplate) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE message_template SET name = %s, medium = %s, subject = %s, html = %s, plain = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    values = (template.name, template.medium, template.subject, template.html, template.plain, template.updated_at)
    await tx.run(sql, *values, tx.tenant, template.id)


async def delete_template(tx: Tx, template_id: UUID) -> bool:
    """False when there is none."""
    sql = "DELETE FROM message_template WHERE tenant_id = %s AND id = %s"
    return bool(await tx.run(sql, tx.tenant, template_id))
