"""What a table of the paper is: rows of cells, each a figure of a run's results beside the paper's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asma_edge.fusion import FUSED
from asma_trainer.paper.sizes import Size
from asma_trainer.recipe.recipe import Recipe


@dataclass(frozen=True)
class Given:
    """What the rows of a table depend on.

    Attributes:
        recipe: that all rows change.
        clips: to train on.
        sources: names of the data sets whose encoders are transferred.
    """

    recipe: Recipe
    clips: int
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One way to train: a run with each seed.

    Attributes:
        name: of its folder. All tables share a folder, so equal names stand for equal overrides.
        overrides: {"section.key": value} of the recipe.
        source: name of the data set on which its encoders are pretrained; "": the one that is tested.
    """

    name: str
    overrides: Mapping[str, Any] = field(hash=False)
    source: str = ""


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        setting: of the runs that it is read from.
        stage: row of their results, such as "teacher".
        paper: the paper's figure, a fraction; None: it gives none.
        stream: one, or all of them fused.
    """

    setting: Setting
    stage: str
    paper: float | None = None
    stream: str = FUSED


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        name: as in the paper.
        cells: {column: figure}.
        against: name of the row that it is compared with by a paired test; "": the first row.
        paper_size: (parameters, multiply-accumulates) as the paper has them.
    """

    name: str
    cells: Mapping[str, Cell]
    against: str = ""
    paper_size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        rows: those that can be trained here.
        absent: {rows of the paper: why they cannot}.
        paper: on what the paper's figures were measured.
        seeds: it asks for, unless the user does.
        sized: whether it shows how large the networks are.
    """

    title: str
    rows: tuple[Row, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    paper: str = "NTU-60 xsub"
    seeds: tuple[int, ...] = (0,)
    sized: bool = False

    @property
    def of_paper(self) -> bool:
        """Whether the paper has any figure of it."""
        return any(cell.paper is not None for row in self.rows for cell in row.cells.values())

    @property
    def columns(self) -> list[str]:
        """All columns, in the order of the fullest rows."""
        fullest = sorted(self.rows, key=lambda row: -len(row.cells))
        return list(dict.fromkeys(column for row in fullest for column in row.cells))

    @property
    def settings(self) -> list[Setting]:
        """What there is to train, each once."""
        return list({cell.setting.name: cell.setting for row in self.rows for cell in row.cells.values()}.values())


@dataclass(frozen=True)
class Figures:
    """A row of a finished table.

    Attributes:
        row: its definition.
        split: of the test.
        values: {column: accuracy of each seed, a fraction}.
        size: of its networks, where the table shows it.
    """

    row: Row
    split: str
    values: Mapping[str, tuple[float, ...]]
    size: Size | None = None


@dataclass(frozen=True)
class Plan:
    """A table with the rows that an order can give.

    Attributes:
        name: such as ``table-9``.
        table: without the cells that are impossible here; these are among its ``absent``.
        seeds: of each run.
    """

    name: str
    table: Table
    seeds: tuple[int, ...]
