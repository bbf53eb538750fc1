"""What a row found out: figures of several runs, the limits beside them, and how it is printed."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from bench.machine import Machine
from bench.processes import OTHERS

_NOISE = 20.0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity, measured once or several times."""

    name: str
    unit: str
    runs: list[float]
    goal: str = ""
    """As the design states it, for instance `>= 100000`."""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.runs)

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None without one."""
        if not self.goal:
            return None
        relation, _, number = self.goal.partition(" ")
        return self.value >= float(number) if relation == ">=" else self.value <= float(number)

    def spell(self) -> str:
        """Median and spread."""
        text = f"{_number(self.value)} {self.unit}"
        if len(self.runs) > 1:
            text += f"  ({_number(min(self.runs))} to {_number(max(self.runs))})"
        return text


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine could do at best for the same load, measured in the same run."""

    name: str
    figure: str
    """Which figure it is the limit of."""
    unit: str
    value: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one row."""

    row: str
    figures: list[Figure]
    limits: list[Limit] = []
    cpu: dict[str, float] = {}
    """Per cent of one core, by role."""
    costs: dict[str, float] = {}
    """Processor time of each role for one message, connection or request, in µs: steadier than rates on a machine that
    others use too."""
    cost_of: str = "message"
    notes: list[str] = []

    def ratio(self, limit: Limit) -> float:
        """How far the platform comes: 1 is the limit itself."""
        values = {figure.name: figure.value for figure in self.figures}
        return values[limit.figure] / limit.value if limit.value else math.nan

    def lines(self) -> list[tuple[str, str, str, str, str, str]]:
        """For each figure: the row (once), its name, median and spread, goal, whether it is met, the limits."""
        lines = []
        for number, figure in enumerate(self.figures):
            limits = [
                f"{self.ratio(limit):.0%} of {_number(limit.value)} {limit.unit}, {limit.name}"
                for limit in self.limits
                if limit.figure == figure.name
            ]
            met = {None: "", True: "yes", False: "no"}[figure.is_met]
            title = self.row if number == 0 else ""
            lines.append((title, figure.name, figure.spell(), figure.goal, met, "\n".join(limits)))
        return lines

    def spell_costs(self) -> str:
        """Processor time of each role, the largest first."""
        ordered = sorted(self.costs.items(), key=lambda item: -item[1])
        total = sum(self.costs.values())
        spelled = ", ".join(f"{role} {_number(cost)}" for role, cost in ordered if cost >= total / 100)
        return f"{spelled}; all {_number(total)}"

    def as_json(self, machine: Machine, at: str) -> str:
        """One line."""
        figures = [
            msgspec.to_builtins(figure) | {"median": figure.value, "met": figure.is_met} for figure in self.figures
        ]
        limits = [msgspec.to_builtins(limit) | {"ratio": self.ratio(limit)} for limit in self.limits]
        line = msgspec.to_builtins(self) | {"figures": figures, "limits": limits}
        return msgspec.json.encode(line | {"at": at, "machine": msgspec.to_builtins(machine)}).decode()


def average(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean by role."""
    return {role: sum(sample.get(role, 0.0) for sample in samples) / len(samples) for role in samples[0]}


def show(results: Sequence[Result], machine: Machine) -> None:
    """The table."""
    console = Console(width=160)
    console.print(machine.describe())
    table = Table("row", "figure", "median (spread)", "goal", "met", "share of the limit", box=None, pad_edge=False)
    for result in results:
        for line in result.lines():
            table.add_row(*line)
        if result.cpu:
            table.add_row("", "cpu, % of a core", _spell_cpu(result.cpu), "", "", "")
        if result.costs:
            table.add_row("", f"cpu, µs a {result.cost_of}", result.spell_costs(), "", "", "")
        if result.cpu.get(OTHERS, 0.0) > _NOISE:
            table.add_row("", "", "[italic]others were busy meanwhile: trust ratios and processor time only[/italic]")
        for note in result.notes:
            table.add_row("", "", f"[italic]{note}[/italic]", "", "", "")
    console.print(table)


def costs(cpu: Mapping[str, float], rates: Mapping[str, float], rate: float) -> dict[str, float]:
    """µs by role, from per cent of a core and what was done a second: `rate`, or another for a role in `rates`."""
    return {role: share * 1e4 / max(rates.get(role, rate), 1.0) for role, share in cpu.items() if role != OTHERS}


def _spell_cpu(cpu: Mapping[str, float]) -> str:
    return ", ".join(
        f"{role} {share:.0f}" for role, share in sorted(cpu.items(), key=lambda item: -item[1]) if share >= 1
    )


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
