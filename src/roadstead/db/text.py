"""Text on its way into PostgreSQL."""


def storable(text: str) -> str:
    """What PostgreSQL can keep of a text that somebody made up: no NUL, no half characters."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
