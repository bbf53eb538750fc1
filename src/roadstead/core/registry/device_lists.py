"""What is said of many devices in a few words: names, keys and values of tags, names of attributes."""

from collections.abc import Sequence

from roadstead.core.operation import operation
from roadstead.core.registry import device_list_store
from roadstead.core.registry.attribute_model import DataType
from roadstead.core.registry.device_list_store import DeviceName, TaggedDevice
from roadstead.core.registry.search import resolve
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import EVERYTHING, And, Filter, In, equals, starts_with

MOST_NAMES = 1_000
"""Of whatever is listed here; the first ones in order."""


@operation(Grant.DEVICES_READ)
async def list_device_names(work: Work, where: Filter) -> list[DeviceName]:
    """What the first devices are called, by that, and their classes."""
    return await device_list_store.select_names(work.tx, await resolve(work, where), most=MOST_NAMES)


@operation(Grant.DEVICES_READ)
async def list_tagged_devices(work: Work, where: Filter, *, most: int) -> list[TaggedDevice]:
    """The first so many devices, by their ids, with their tags."""
    return await device_list_store.select_tagged(work.tx, await resolve(work, where), most=most)


@operation(Grant.DEVICES_READ)
async def list_tag_keys_of(work: Work, where: Filter, *, prefix: str = "") -> list[str]:
    """The keys of the tags of devices, each once."""
    keys = starts_with("tagKey", prefix)
    return await device_list_store.select_tag_keys(work.tx, await resolve(work, where), keys, most=MOST_NAMES)


@operation(Grant.DEVICES_READ)
async def list_tag_values_of(work: Work, where: Filter, key: str, *, prefix: str = "") -> list[str]:
    """The values that tags of a key have on devices, each once."""
    values = And((equals("tagKey", key), starts_with("tagValue", prefix)))
    return await device_list_store.select_tag_values(work.tx, await resolve(work, where), values, most=MOST_NAMES)


@operation(Grant.DEVICES_READ)
async def list_attribute_names(
    work: Work, where: Filter, *, prefix: str = "", data_types: Sequence[DataType] = ()
) -> list[str]:
    """The names of the attributes of devices, each once; with `data_types` only of attributes of these."""
    typed = In(("dataType",), tuple(data_types)) if data_types else EVERYTHING
    names = And((starts_with("name", prefix), typed))
    return await device_list_store.select_attribute_names(work.tx, await resolve(work, where), names, most=MOST_NAMES)
