"""Topics and filters as MQTT has them (section 4.7): levels by `/`, `+` for one level, `#` for the rest."""

WILDCARDS = frozenset("+#")


def has_wildcards(text: str) -> bool:
    """Whether it is a filter that can be about more than one topic."""
    return "+" in text or "#" in text


def find_fault(filter_: str) -> str:
    """What is wrong with a filter; empty when nothing is. Wildcards fill a level, `#` only the last one."""
    if not filter_:
        return "is empty"
    if "\0" in filter_:
        return "has a zero byte"
    levels = filter_.split("/")
    if "#" in levels[:-1] or any(len(level) > 1 and has_wildcards(level) for level in levels):
        return "has a wildcard in the wrong place"
    return ""


def matches(filter_: str, topic: str) -> bool:
    """Whether `filter_` is about `topic`; a leading wildcard leaves topics alone that begin with `$` [MQTT-4.7.2-1]."""
    if filter_ == topic:
        return True
    if not has_wildcards(filter_):
        return False
    if topic.startswith("$") and filter_[0] in WILDCARDS:
        return False
    wanted, levels = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        # `sport/#` is also about `sport` itself.
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


def covers(wide: str, narrow: str) -> bool:
    """Whether `wide` is about every topic that `narrow` is about."""
    return _compare(wide.split("/"), narrow.split("/"), either_way=False)


def overlap(one: str, other: str) -> bool:
    """Whether there can be a topic that both are about."""
    return _compare(one.split("/"), other.split("/"), either_way=True)


def _compare(one: list[str], other: list[str], *, either_way: bool) -> bool:
    """Level by level: whether `one` takes in `other`, or (`either_way`) they have something in common."""
    for at, level in enumerate(one):
        if level == "#":
            return True
        if at == len(other):
            return False
        theirs = other[at]
        if theirs == "#":
            return either_way  # some of its topics go on as `one` does
        if level not in ("+", theirs) and not (either_way and theirs == "+"):
            return False
    rest = other[len(one) :]
    return not rest or (either_way and rest == ["#"])
