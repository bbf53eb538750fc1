"""Fleets: what is done to very many devices at once."""

from collections.abc import Mapping

from roadstead.core.fleet.doing import delete_many, edit_many, restore_many
from roadstead.core.fleet.model import (
    AttributeAddition,
    AttributeEdit,
    AttributeRemoval,
    AttributesEdit,
    AttributeTagEdit,
    Edit,
    Failure,
    FieldsEdit,
    Outcome,
    SystemAttribute,
    TagEdit,
    TagsEdit,
)
from roadstead.core.fleet.service import JobId, Request, delete_devices, edit_devices, restore_devices
from roadstead.core.jobs import Handler

HANDLERS: Mapping[str, Handler] = {
    "device-editing": edit_many,
    "device-deletion": delete_many,
    "device-restoration": restore_many,
}
"""Of background jobs, by kind."""

__all__ = [
    "HANDLERS",
    "AttributeAddition",
    "AttributeEdit",
    "AttributeRemoval",
    "AttributeTagEdit",
    "AttributesEdit",
    "Edit",
    "Failure",
    "FieldsEdit",
    "JobId",
    "Outcome",
    "Request",
    "SystemAttribute",
    "TagEdit",
    "TagsEdit",
    "delete_devices",
    "edit_devices",
    "restore_devices",
]
