"""A table in words: as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asma_edge.provenance import RESULTS_FORMAT
from asma_trainer.paper.definitions import Figures, Plan, Table
from asma_trainer.paper.sizes import Size
from asma_trainer.sweep import accuracy_cell


def markdown(plan: Plan, rows: Sequence[Figures]) -> str:
    """The table in per cent, the paper's figures in its last column, and what is left out."""
    table, columns = plan.table, plan.table.columns
    lines = [f"## {plan.name.replace('-', ' ').capitalize()}: {table.title}", ""]
    heads = [column.replace("|", "/") for column in columns] + (["Params (M)", "MACs (G)"] if table.sized else [])
    beside = [f"paper, {table.paper}"] if table.of_paper else []
    lines.append(f"| | split | {' | '.join([*heads, *beside])} |")
    lines.append("|---" * (len(heads) + len(beside) + 2) + "|")
    by_name = {(row.row.name, row.split): row.values for row in rows}
    for row in rows:
        first = by_name.get((row.row.against or table.rows[0].name, row.split), {})
        cells = [accuracy_cell(row.values.get(column, ()), first.get(column, ())) for column in columns]
        papers = [row.row.cells[column].paper if column in row.row.cells else None for column in columns]
        paper = " / ".join("–" if value is None else f"{100 * value:.2f}".removesuffix("0") for value in papers)
        if table.sized:
            cells += _size_cells(row.size)
            paper += f"; {', '.join(_size_cells(Size(*row.row.paper_size)))}" if row.row.paper_size else ""
        lines.append(f"| {' | '.join([row.row.name, row.split, *cells, *([paper] if beside else [])])} |")
    seeds = ", ".join(map(str, plan.seeds))
    said = f"Top-1 in per cent; seed {seeds}." if len(plan.seeds) == 1 else (
        f"Top-1 in per cent, mean ± deviation over seeds {seeds}; p of a paired t-test against the row that a row "
        "changes, else the first."
    )  # fmt: skip
    return "\n".join([*lines, "", said, *left_out(table)]) + "\n"


def _size_cells(size: Size | None) -> list[str]:
    """Millions of parameters, and thousand millions of multiply-accumulates."""
    if size is None:
        return ["", ""]
    return [f"{size.parameters / 1e6:.4g}", "" if size.macs is None else f"{size.macs / 1e9:.4g}"]


def left_out(table: Table) -> list[str]:
    """A line for each row of the paper that is not here."""
    return [f"Left out: {name}: {reason}." for name, reason in table.absent.items()]


def as_json(plan: Plan, rows: Sequence[Figures]) -> dict[str, Any]:
    """The table as JSON: fractions."""
    return {
        "format": RESULTS_FORMAT,
        "name": plan.name,
        "title": plan.table.title,
        "seeds": list(plan.seeds),
        "paper": plan.table.paper,
        "rows": [
            {
                "name": row.row.name,
                "split": row.split,
                "accuracy": {column: list(values) for column, values in row.values.items()},
                "paper": {column: cell.paper for column, cell in row.row.cells.items()},
            }
            | ({"size": row.size and row.size._asdict(), "paper_size": row.row.paper_size} if plan.table.sized else {})
            for row in rows
        ],
        "left_out": dict(plan.table.absent),
    }
