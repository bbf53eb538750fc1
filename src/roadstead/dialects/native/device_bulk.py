"""/devices/bulk: many changes of devices in one request."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, post
from msgspec import UNSET, Meta

from roadstead.core import registry
from roadstead.core.registry import BulkAction, BulkOperation, BulkOutcome, Deletion, DeviceChange, DeviceStatus
from roadstead.core.work import Work
from roadstead.dialects.native.device_filters import DeviceFilter
from roadstead.dialects.native.devices import DevicePatch, DeviceShape
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.problems import Problem, problem_of
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId
from roadstead.web.edge import AnyRequest


class Op(StrEnum):
    """What can be done to many devices."""

    PATCH = "patch"
    DELETE = "delete"
    ADD_TAGS = "addTags"
    REMOVE_TAGS = "removeTags"
    SET_SITE = "setSite"
    SET_STATUS = "setStatus"


class BulkOperationBody(Body, kw_only=True):
    """Contract schema `BulkOperation`.

    `value` is a merge patch for patch, an object for addTags, a list of keys for removeTags, the id of a site or null
    for setSite, a status for setStatus; delete takes none.
    """

    op: Op
    ids: list[str] | None = None
    filter: DeviceFilter | None = None
    value: Any = UNSET

    def read(self, pointer: str) -> BulkOperation:
        """In words of the core; `pointer` is where this stands in the body."""
        if (self.ids is None) == (self.filter is None):
            raise Invalid.field(pointer, "needs either ids or a filter")
        if self.filter is not None:
            return BulkOperation(self.filter.read(), self._action(pointer))
        return BulkOperation([_read_id(text, pointer) for text in self.ids or ()], self._action(pointer))

    def _action(self, pointer: str) -> BulkAction:
        if self.op is Op.DELETE:
            if self.value is not UNSET:
                raise Invalid.field(f"{pointer}/value", "delete takes no value")
            return Deletion()
        if self.value is UNSET:
            raise Invalid.field(f"{pointer}/value", "is required", code="required")
        try:
            return _read_value(self.op, self.value)
        except msgspec.ValidationError as error:
            raise Invalid.field(f"{pointer}/value", str(error)) from error
        except Invalid as error:
            places = [
                FieldProblem(f"{pointer}/value{field.pointer}", field.code, field.detail) for field in error.fields
            ]
            raise Invalid(str(error), code=error.code, fields=places) from error


def _read_value(op: Op, value: object) -> BulkAction:
    match op:
        case Op.ADD_TAGS:
            return DeviceChange(tags=msgspec.convert(value, dict[str, str]))
        case Op.REMOVE_TAGS:
            return DeviceChange(tags=dict.fromkeys(msgspec.convert(value, list[str])))
        case Op.SET_SITE:
            return DevicePatch(site_id=msgspec.convert(value, str | None)).change()
        case Op.SET_STATUS:
            return msgspec.convert(value, DeviceStatus)
        case _:
            return msgspec.convert(value, DevicePatch).change()


def _read_id(text: str, pointer: str) -> DeviceId:
    try:
        return DeviceId(UUID(text))
    except ValueError as error:
        raise Invalid.field(f"{pointer}/ids", f"'{text}' is not an id") from error


class BulkBody(Body, kw_only=True):
    """Body of `device.bulk`."""

    operations: Annotated[list[BulkOperationBody], Meta(min_length=1, max_length=500)]
    atomic: bool = False


class BulkLineShape(Shape, kw_only=True):
    """One line of contract schema `BulkResult`."""

    index: int
    id: str
    status: int
    resource: DeviceShape | None = None
    problem: Problem | None = None

    @classmethod
    def of(cls, request: AnyRequest, outcome: BulkOutcome) -> "BulkLineShape":
        line = cls(index=outcome.index, id=str(outcome.device_id), status=HTTPStatus.NO_CONTENT)
        if outcome.error is not None:
            line.problem = problem_of(request, outcome.error)
            line.status = line.problem.status
        elif outcome.device is not None:
            line.resource = DeviceShape.of(outcome.device)
            line.status = HTTPStatus.OK
        return line


class BulkResultShape(Shape, kw_only=True):
    """Contract schema `BulkResult`."""

    succeeded: int
    failed: int
    results: list[BulkLineShape]


@post("/", operation_id="device.bulk", status_code=200)
@idempotent
async def change_devices(request: AnyRequest, work: Work, data: BulkBody) -> Response[BulkResultShape]:
    """Up to 500 operations (patch, delete, addTags, removeTags, setSite, setStatus) on ids or on a filter.

    They are done one after the other, 1,000 devices in all; `index` in a result is that of its operation. With
    atomic=true the first failure undoes everything and is the answer; else each device has its own result, and 207 says
    that some failed.
    """
    operations = [item.read(f"/operations/{index}") for index, item in enumerate(data.operations)]
    outcomes = await registry.change_in_bulk(work, operations, atomic=data.atomic)
    failed = sum(outcome.error is not None for outcome in outcomes)
    shape = BulkResultShape(
        succeeded=len(outcomes) - failed,
        failed=failed,
        results=[BulkLineShape.of(request, outcome) for outcome in outcomes],
    )
    return Response(shape, status_code=HTTPStatus.MULTI_STATUS if failed else HTTPStatus.OK)


router = Router("/v1/devices/bulk", route_handlers=[change_devices], tags=["devices"])
