"""The run report: one HTML file that shows what a run did, with nothing to fetch and nothing to install.

    write_report(Path("report.html"), RunReport(title="demo", curves=read_curves(run), ...))

Every text is escaped on its way into the page, and the page's own policy lets no other script run and nothing load.
"""

from asma_trainer.report.content import AccuracyRow, ModelRow, RunReport
from asma_trainer.report.curves import read_curves
from asma_trainer.report.render import render_report, write_report

__all__ = ["AccuracyRow", "ModelRow", "RunReport", "read_curves", "render_report", "write_report"]
