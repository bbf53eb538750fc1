"""What devices shall have and how far they are, said in the plainest way (contract section 3)."""

from collections import Counter
from itertools import count

import msgspec

DEVICES = range(3)
TARGETS = ("C0", "D0", "D1", "D2", "G0", "G1", "P", "S")
"""A component, devices, groups, a profile, which all devices have at first, and that of the one component they have."""
ORDER = "SPGDC"
"""The last one wins."""
NAMES = ("x", "y")
WHOLE, PART = "", "motor"

Place = tuple[str, str]
"""The device as a whole or its component, and a name."""


class Bound(msgspec.Struct):
    """A binding."""

    target: str
    content: int
    priority: int
    since: int
    version: int = 1


class Said(msgspec.Struct, frozen=True):
    """What a device reported of an artefact; `content` is None for one that nobody has."""

    content: int | None
    version: int
    status: str


Document = dict[Place, tuple[int, int]]
"""Content and desired version."""


class Oracle:
    """Three devices and all that is bound."""

    def __init__(self) -> None:
        self.bound: dict[tuple[str, str], Bound] = {}
        self.tags: list[set[str]] = [{"P"} for _ in DEVICES]
        """The groups and the profile that a device has."""
        self.documents: list[Document] = [{} for _ in DEVICES]
        self.holds: list[dict[Place, Bound]] = [{} for _ in DEVICES]
        self.versions = [0 for _ in DEVICES]
        self.said: list[dict[Place, Said]] = [{} for _ in DEVICES]
        self.sent: list[tuple[int, int] | None] = [None for _ in DEVICES]
        """The session that has a document, and its version."""
        self.arrived: list[int | None] = [None for _ in DEVICES]
        self.reports: Counter[int] = Counter()
        self.resends: Counter[int] = Counter()
        self._since = count()

    def bind(self, target: str, name: str, content: int, priority: int) -> None:
        """In place of what is bound there."""
        known = self.bound.get((target, name))
        if known is None:
            self.bound[target, name] = Bound(target, content, priority, next(self._since))
        else:
            known.version += known.content != content
            known.content, known.priority = content, priority
        self._at_once(target)

    def unbind(self, target: str, name: str) -> None:
        """What is next by precedence takes its place."""
        del self.bound[target, name]
        self._at_once(target)

    def _at_once(self, target: str) -> None:
        if target[0] in "CD":
            self.settle(int(target[1]))

    def settle(self, device: int) -> None:
        """The device is worked out."""
        holds = {}
        for name in NAMES:
            whole = self._most_specific(name, {f"D{device}", *self.tags[device]})
            part = self._most_specific(name, {f"C{device}", "S"})
            if whole is not None:
                holds[WHOLE, name] = whole
            if part is not None and (whole is None or part.target[0] == "C"):
                holds[PART, name] = part
        self.holds[device] = holds
        document = {place: (bound.content, bound.version) for place, bound in holds.items()}
        self.versions[device] += document != self.documents[device]
        self.documents[device] = document

    def _most_specific(self, name: str, targets: set[str]) -> Bound | None:
        meant = [self.bound[target, name] for target in targets if (target, name) in self.bound]

        def rank(one: Bound) -> tuple[int, int, int]:
            return ORDER.index(one.target[0]), one.priority * (one.target[0] == "G"), one.since

        return max(meant, key=rank, default=None)

    def report(self, device: int, place: Place, said: Said) -> None:
        """What it said before of what it shall not have any more is forgotten."""
        kept = {known: old for known, old in self.said[device].items() if known in self.documents[device]}
        self.said[device] = kept | {place: said}
        self.reports[device] += 1

    def reach(self, device: int, session: int, *, arrives: bool) -> bool:
        """Whether the session is told."""
        has = (session, self.versions[device])
        if not self.versions[device] or self.sent[device] == has:
            return False
        self.sent[device] = has
        if arrives:
            self.arrived[device] = self.versions[device]
        return True

    def resend(self, target: str, name: str) -> None:
        """To all who hold it and have not accepted it."""
        bound = self.bound[target, name]
        for device in DEVICES:
            places = [place for place, held in self.holds[device].items() if held is bound]
            if any(self.status(device, place) != "ACCEPTED" for place in places):
                self.sent[device] = None
                self.resends[device] += 1

    def status(self, device: int, place: Place) -> str:
        """How far an entry is."""
        content, version = self.documents[device][place]
        said = self.said[device].get(place)
        if said is None:
            return "PENDING"
        is_about_it = said.content == content or (said.status != "ACCEPTED" and said.version == version)
        return said.status if is_about_it else "PENDING"

    def drifts(self, device: int, place: Place) -> bool:
        """Whether the device says that it has something else."""
        said = self.said[device].get(place)
        return said is not None and said.content != self.documents[device][place][0]

    def statuses_of(self, bound: Bound) -> Counter[str]:
        """Of the entries of a binding; with those that drift."""
        found: Counter[str] = Counter()
        for device in DEVICES:
            for place, held in self.holds[device].items():
                if held is bound:
                    found[self.status(device, place)] += 1
                    found["drifting"] += self.drifts(device, place)
        return found
