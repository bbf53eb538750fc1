"""What a command could not do."""


class CommandFailed(Exception):
    """The command failed; the message is one sentence for people, the API's own words where it said no."""
