"""Where everything of a picture stands on the screen, in pixels; the template only writes it out.

The axis goes by steps, so that what happens within one second is not drawn on one spot: a
pause between two steps is wider the longer it took, but not by as much.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from portal.sim.picture import HostLane, Picture, Segment, VmLane
from portal.sim.steps import Step
from portal.sim.telling import told
from portal.templatetags.look import LOOKS, rule_words

NAMES = 108  # width of the column of names
_LEFT, _RIGHT = 14, 40
_TOP = 30  # the height of the axis
_NARROWEST, _PER_DOUBLING = 22, 17
_MARKS, _BAR, _GAP, _LANE_GAP = 20, 20, 3, 14
_LETTER = 6.7  # the width of a letter in a bar
_INSIDE = 6  # between the edge of a bar and its label
_AGAIN = 260  # a label is repeated after this, as pictures are wider than screens
_SIGN = 11  # half the width of a mark
_TICK = 46  # a time above the axis needs this much

#: Tone -> the pattern that says the same without colour; the others have none.
PATTERNS = {"bad": "sim-hatch", "warn": "sim-dots"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a row."""

    x: float
    y: int
    width: float
    tone: str  # the empty text: a thin line, as there is nothing
    label: str
    title: str
    at: tuple[float, ...]  # where the label stands: nowhere if it does not fit, else repeated
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign above a lane."""

    x: float
    y: int
    shape: str
    letter: str
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """The name of a row of bars, in the column of names."""

    y: int
    words: str
    is_name: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with a cursor at one of its steps."""

    width: float
    height: int
    names: tuple[Row, ...]
    lines: tuple[int, ...]  # between lanes
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    cursor: float

    @property
    def later(self) -> float:
        """Where that begins which happens after the cursor; its own mark is not of it."""
        return round(self.cursor + _SIGN, 1)


#: Mark -> the letter within it; a decision shows the number of its row.
_LETTERS = {
    "fault": "!",
    "fence": "F",
    "proof": "P",
    "alert": "A",
    "person": "H",
    "evidence": "E",
}


def draw(picture: Picture, step: int) -> Drawing:
    """Return the drawing of ``picture`` with the cursor at ``step``."""
    axis = _Axis(picture)
    sheet = _Sheet(axis)
    if picture.marks:
        sheet.lane("all of it", picture.marks, [])
    for host in picture.hosts:
        sheet.lane(host.name, host.marks, _host_rows(host))
    for vm in picture.vms:
        sheet.lane(vm.name, vm.marks, _vm_rows(vm))
    return Drawing(
        width=axis.width,
        height=sheet.y,
        names=tuple(sheet.names),
        lines=tuple(sheet.lines),
        bars=tuple(sheet.bars),
        marks=tuple(sheet.marks),
        ticks=tuple(axis.ticks()),
        cursor=axis.x(step),
    )


class _Axis:
    """Turns places into pixels."""

    def __init__(self, picture: Picture) -> None:
        self._at = [0.0, *(step.at for step in picture.steps), picture.until]
        self._x = [float(_LEFT)]
        for before, after in pairwise(self._at):
            wide = _NARROWEST + _PER_DOUBLING * math.log2(1 + max(0.0, after - before))
            self._x.append(round(self._x[-1] + wide, 1))
        self.width = self._x[-1] + _RIGHT

    def x(self, place: float) -> float:
        before = min(int(place), len(self._x) - 2)
        return self._x[before] + (place - before) * (self._x[before + 1] - self._x[before])

    def ticks(self) -> Iterator[tuple[float, str]]:
        last, told_s = -math.inf, None
        for x, at in zip(self._x, self._at, strict=True):
            if at != told_s and x - last >= _TICK:
                yield x, f"{at:.1f} s"
                last, told_s = x, at


#: A row of bars: its words, and each stretch with tone, label and title.
_Row = tuple[str, list[tuple[Segment, str, str, str]]]


class _Sheet:
    """Puts one lane below the other."""

    def __init__(self, axis: _Axis) -> None:
        self._axis, self.y = axis, _TOP
        self.names: list[Row] = []
        self.lines: list[int] = []
        self.bars: list[Bar] = []
        self.marks: list[Mark] = []

    def lane(self, name: str, marks: Iterable[Step], rows: list[_Row]) -> None:
        """Draw a lane: its marks, and below them its rows of bars."""
        self.lines.append(self.y)
        self.y += _GAP
        self.names.append(Row(self.y + 15, name, is_name=True))
        self.marks.extend(self._mark(step) for step in marks)
        self.y += _MARKS
        for words, parts in rows:
            self.names.append(Row(self.y + 15, words, is_name=False))
            self.bars.extend(self._bar(*part) for part in parts)
            self.y += _BAR + _GAP
        self.y += _LANE_GAP - _GAP

    def _mark(self, step: Step) -> Mark:
        letter = _LETTERS.get(step.mark) or step.detail.removeprefix("row ")
        title = f"{step.at:.1f} s: {told(step)}"
        return Mark(self._axis.x(step.number), self.y + 10, step.mark, letter, step.number, title)

    def _bar(self, part: Segment, tone: str, label: str, title: str) -> Bar:
        x, end = self._axis.x(part.begin), self._axis.x(part.end)
        whole = f"{part.from_s:.1f} s to {part.to_s:.1f} s: {title}"
        at = tuple(_places(x + _INSIDE, end - _INSIDE - len(label) * _LETTER))
        pattern = PATTERNS.get(tone, "")
        return Bar(x, self.y, round(end - x, 1), tone, label, whole, at, pattern)


def _places(first: float, last: float) -> Iterator[float]:
    while first <= last:
        yield round(first, 1)
        first += _AGAIN


def _host_rows(host: HostLane) -> list[_Row]:
    return [
        ("status", [_looks("host", part) for part in host.status]),
        ("HA", [_looks("ha", part) for part in host.ha]),
    ]


def _looks(kind: str, part: Segment) -> tuple[Segment, str, str, str]:
    _, tone, words = LOOKS[kind][part.value]
    return part, tone, words, words


def _vm_rows(vm: VmLane) -> list[_Row]:
    return [
        ("its run", [_run(part) for part in vm.runs]),
        ("executes", [_executing(part) for part in vm.executes]),
    ]


def _run(part: Segment) -> tuple[Segment, str, str, str]:
    if not part.value:
        return part, "", "", "no run is open"
    ended = rule_words(part.proof) if part.proof else "still open"
    return part, "info", part.value, f"its run on {part.value}. {ended}"


def _executing(part: Segment) -> tuple[Segment, str, str, str]:
    frozen = f", suspended on {part.frozen}" if part.frozen else ""
    where = f"{part.value or 'nowhere'}{frozen}"
    if not part.value:
        return part, "", where, f"executes {where}"
    if " and " in part.value:
        return part, "bad", f"TWICE: {where}", f"executes twice, on {where}"
    return part, "good", where, f"executes on {where}"
