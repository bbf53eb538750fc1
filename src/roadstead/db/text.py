"""Text on its way into PostgreSQL."""


def storable(text: str) -> str:
    """What PostgreSQL can keep of a text that somebody made up: no NUL, no half characters."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def holds_nul(value: object) -> bool:
    """Whether a text or a name somewhere in a JSON value has a NUL: PostgreSQL keeps none."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(holds_nul(part) for item in value.items() for part in item)
    return isinstance(value, list) and any(map(holds_nul, value))
