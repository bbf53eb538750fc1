"""What went wrong, as Litestar hands it on."""

from roadstead.kernel.errors import RoadsteadError


def failure_in(group: ExceptionGroup[Exception]) -> RoadsteadError | None:
    """What there is to tell of an end of a transaction that failed, for instance because the database went away.

    Litestar wraps what dependencies raise after their route. None: a defect of ours.
    """
    return next((error for error in group.exceptions if isinstance(error, RoadsteadError)), None)
