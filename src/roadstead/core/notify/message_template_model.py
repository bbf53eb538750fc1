"""What message templates are: texts that programs keep here and make messages from themselves."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.kernel.errors import Invalid

MOST_TEXT = 262_144
_MOST_NAME = 255


class Medium(StrEnum):
    """How messages made from it leave."""

    EMAIL = "EMAIL"
    SMS = "SMS"


class MessageTemplateDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A template to be made, or what one shall be as a whole."""

    name: str
    medium: Medium | None = None
    subject: str | None = None
    html: str | None = None
    plain: str | None = None

    def check(self) -> None:
        """Raises `Invalid` for what cannot be kept."""
        if not self.name:
            raise Invalid.field("/name", "must not be empty")
        for name, most in (("name", _MOST_NAME), ("subject", _MOST_NAME), ("html", MOST_TEXT), ("plain", MOST_TEXT)):
            text = getattr(self, name)
            if text is not None and (len(text) > most or "\0" in text):
                raise Invalid.field(f"/{name}", f"takes at most {most} characters, no NUL")


class MessageTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing here sends it."""

    id: UUID
    name: str
    medium: Medium | None
    subject: str | None
    html: str | None
    plain: str | None
    created_at: datetime
    updated_at: datetime
