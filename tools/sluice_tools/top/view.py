"""
What `sluice top` shows, and what its keys do. No I/O.
"""

from __future__ import annotations

import enum
import json
from typing import Any, NamedTuple

from rich.align import AlignMethod
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sluice_tools.terminal import visible
from sluice_tools.trend import Sample, Trend, in_words

STYLES = {"running": "green", "stopped": "dim", "error": "bold red"}

NAME = 30
"Cells of a stream's name, at most."

BAR = 10
"Cells of the bar that shows the lag, beside the largest lag of all."

ALIGNED: dict[str, AlignMethod] = {
    "stream": "left",
    "status": "left",
    "messages/s": "right",
    "lag": "right",
    " " * BAR: "left",
    "catches up": "left",
    "failed": "right",
    "reason, or last error": "left",
}
"Head of a column -> to which side its cells go."

AROUND = 5
"Lines of the screen that are not streams: the head, the table's own, the keys and an answer."

KEYS = "↑ ↓ select   s start   x stop   Enter details   q quit"
DETAIL_KEYS = "s start   x stop   Enter back   q quit"

Row = dict[str, Any]


class Keystroke(enum.Enum):
    """What a user can press."""

    UP = enum.auto()
    DOWN = enum.auto()
    START = enum.auto()
    STOP = enum.auto()
    DETAILS = enum.auto()
    QUIT = enum.auto()


class Wish(NamedTuple):
    """A query that a key asks for."""

    query: str
    name: str
    done: str
    "What to say after it."


WISHES = {
    Keystroke.START: ("CALL streams.start($name)", "START STREAM"),
    Keystroke.STOP: ("CALL streams.`stop`($name)", "STOP STREAM"),
}


class View:
    """
    The table: its rows, which of them is selected, whether that one's details are shown.

    Threads: one.
    """

    def __init__(self, server: str) -> None:
        self.note = ""
        "A line about what was done last, or why nothing can be read."
        self.details: Row | None = None
        "All that is known of the selected stream, while that is shown; empty until it was read."
        self._server = server
        self._rows: list[Row] = []
        self._trends: dict[str, Trend] = {}
        self._selected = ""

    @property
    def selected(self) -> str:
        """The name of the selected stream; empty: there is none."""
        return self._selected

    def take(self, rows: list[Row], now: float) -> None:
        """
        The streams as they are.

        Args:
            rows: of `command.PROGRESS`.
            now: in seconds.
        """
        self._rows = rows
        names = [row["name"] for row in rows]
        self._trends = {name: self._trends.get(name) or Trend() for name in names}
        for row in rows:
            self._trends[row["name"]].add(Sample(now, row["messages"], row["total_lag"]))
        if self._selected not in names:
            self._selected, self.details = next(iter(names), ""), None

    def press(self, key: Keystroke) -> Wish | None:
        """What a key does; the query that it asks for, if any."""
        names = [row["name"] for row in self._rows]
        if key in (Keystroke.UP, Keystroke.DOWN) and names and self.details is None:
            place = names.index(self._selected) + (1 if key is Keystroke.DOWN else -1)
            self._selected = names[max(0, min(place, len(names) - 1))]
        elif key is Keystroke.DETAILS and names:
            self.details = {} if self.details is None else None
        elif key in WISHES and names:
            query, clause = WISHES[key]
            return Wish(query, self._selected, f"{clause} {self._selected}: OK")
        return None

    def shown(self) -> object:
        """What is on the screen: as long as it is equal, and the screen as large, there is nothing to draw."""
        lines = [{**row, "rates": (f"{self._rate(row):,.0f}", self._catch_up(row))} for row in self._rows]
        return self.note, self.details, self._selected, lines

    def render(self, height: int | None = None) -> RenderableType:
        """
        The screen.

        Args:
            height: its lines; None: there is no screen, but a page for all streams.
        """
        if height is None:
            return Group(self._head(), self._table(len(self._rows)))
        if self.details is None:
            body, keys = self._table(max(1, height - AROUND)), KEYS
        else:
            body, keys = self._detail_table(), DETAIL_KEYS
        # What is longer than the screen is cut off at its end.
        return Group(self._head(), Text(keys, "dim"), Text(visible(self.note), "yellow", no_wrap=True), body)

    def _head(self) -> Text:
        statuses = [row["status"] for row in self._rows]
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in STYLES if status in statuses)
        rate = sum(self._rate(row) for row in self._rows)
        lag = sum(row["total_lag"] or 0 for row in self._rows)
        text = f"{self._server}   {len(statuses)} streams{': ' if counts else ''}{counts}"
        return Text(f"{text}   {rate:,.0f} messages/s   lag {lag:,}", "bold", no_wrap=True)

    def _table(self, lines: int) -> RenderableType:
        """
        The streams around the selected one. Each is one Text: a `rich.Table` of 50 streams takes 30 ms, which is 2 % of
        a core at a look every 1.8 s.
        """
        largest = max((row["total_lag"] or 0 for row in self._rows), default=0)
        rows = self._visible_rows(lines)
        head, *cells = [[Text(name, "bold") for name in ALIGNED], *(self._cells(row, largest) for row in rows)]
        widths = [max(cell.cell_len for cell in column) for column in zip(head, *cells, strict=True)]
        widths[0] = min(widths[0], NAME)
        drawn: list[RenderableType] = [_line(head, widths), Rule(style="")]
        for row, shown in zip(rows, cells, strict=True):
            line = _line(shown, widths)
            drawn.append(Padding(line, 0, style="reverse") if row["name"] == self._selected else line)
        return Group(*drawn)

    def _visible_rows(self, lines: int) -> list[Row]:
        place = next((n for n, row in enumerate(self._rows) if row["name"] == self._selected), 0)
        first = max(0, min(place - lines // 2, len(self._rows) - lines))
        return self._rows[first : first + lines]

    def _cells(self, row: Row, largest: int) -> list[Text]:
        lag = row["total_lag"]
        status = "retrying" if row["retrying"] else row["status"]
        return [
            Text(visible(row["name"]), overflow="ellipsis"),
            Text(status, "yellow" if row["retrying"] else STYLES[row["status"]]),
            Text(f"{self._rate(row):,.0f}" if row["status"] == "running" else ""),
            Text("" if lag is None else f"{lag:,}"),
            Text("█" * -(-BAR * lag // largest) if lag else "", "cyan"),
            Text(self._catch_up(row)),
            Text(f"{row['failed']:,}" if row["failed"] else ""),
            _why(row),
        ]

    def _catch_up(self, row: Row) -> str:
        return in_words(self._trends[row["name"]].catch_up)

    def _rate(self, row: Row) -> float:
        rate = self._trends[row["name"]].rate
        return float(row["rates"]["messages_per_s"]) if rate is None else rate

    def _detail_table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in ({"name": self._selected} | (self.details or {})).items():
            if value is not None:
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                table.add_row(Text(name), Text(visible(shown)))
        return table


def _line(cells: list[Text], widths: list[int]) -> Text:
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    for cell, side, width in zip(cells, ALIGNED.values(), widths, strict=True):
        cell.align(side, width)
        line.append_text(cell).append("   ")
    line.rstrip()
    return line


def _why(row: Row) -> Text:
    if row["reason"]:
        return Text(visible(row["reason"]))
    if row["last_error"]:
        return Text(visible(f"(over) {row['last_error']['time']} {row['last_error']['error']}"), "dim")
    return Text("")
