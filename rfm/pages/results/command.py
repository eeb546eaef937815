"""`rfm report RESULTS.json …`: results files again, as tables, Markdown, a picture or a page; runs as a page."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.console import show
from rfm.errors import ConfigError
from rfm.evaluation.reports.tables import markdown, print_results
from rfm.export.results_file import read_results
from rfm.files.ownership import check_new_file
from rfm.pages.document import write
from rfm.pages.results.page import results_page
from rfm.pages.runs.history import read_history
from rfm.pages.runs.page import runs_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportOptions:
    """Show results files of `rfm evaluate`, or runs of `rfm train` as a page."""

    results: tuple[str, ...] = field(
        metadata={"help": "One or several results files, or folders of runs", "positional": True}
    )
    markdown: bool = field(default=False, metadata={"help": "Write the tables as Markdown to standard output"})
    plot_path: str | None = field(default=None, metadata={"help": "Path to save a picture (.png) of one file"})
    html: str | None = field(
        default=None,
        metadata={"help": "Path to save a page (bare flag: report.html) with everything, several files side by side",
                  "const": "report.html"},
    )  # fmt: skip
    datasets_root: str | None = field(
        default=None, metadata={"help": "Folder of the frame paths, for the film strips of the page"}
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace a picture or page that exists"})

    def __post_init__(self) -> None:
        faults = []
        if self.plot_path is not None and Path(self.plot_path).suffix != ".png":
            faults.append(f"`plot_path` must end in .png, but is {self.plot_path}")
        if self.plot_path is not None and len(self.results) > 1:
            faults.append(f"`plot_path` must go with one results file, but {len(self.results)} are given; add --html")
        if self.html is not None and Path(self.html).suffix.lower() != ".html":
            faults.append(f"`html` must end in .html, but is {self.html}")
        runs = [path for path in self.results if Path(path).is_dir()]
        if runs and len(runs) < len(self.results):
            faults.append(f"`results` must be files or folders of runs alone, but {runs[0]} is a folder among files")
        if runs and (self.html is None or self.markdown or self.plot_path is not None):
            faults.append(f"`html` must be given, and it alone, with folders of runs, as {runs[0]} is one; add --html")
        if repeated := sorted({path for path in self.results if self.results.count(path) > 1}):
            faults.append(f"`results` must all be different, but {', '.join(repeated)} is given more than once")
        if faults:
            raise ConfigError("\n".join(faults))


def report(options: ReportOptions) -> int:
    """Run `rfm report`."""
    read = [Path(path) for path in options.results if Path(path).is_file()]
    for name, path in (("plot_path", options.plot_path), ("html", options.html)):
        if path is not None:
            check_new_file(name, Path(path), overwrite=options.overwrite, inputs=read)
    if Path(options.results[0]).is_dir():
        return _report_runs(options)
    files = [
        read_results(path, ("model_path", "dataset_path", "best_constant", "controls")) for path in options.results
    ]
    if options.plot_path is not None:
        from rfm.evaluation.reports.plot import plot_results  # a second to import, and only pictures need it

        plot_results(files[0], Path(options.plot_path))
        logger.info("picture: %s", options.plot_path)
    if options.html is not None:
        write(results_page(options.results, files, options.datasets_root), Path(options.html))
        logger.info("page: %s", options.html)
    if options.markdown:  # last: whoever reads it may stop
        sys.stdout.write("".join(map(markdown, files)))
    else:
        show(lambda: {"results": files}, lambda: _print(files))
    return 0


def _print(files: list[Any]) -> None:
    for results in files:
        print_results(results)


def _report_runs(options: ReportOptions) -> int:
    runs = [read_history(folder) for folder in options.results]
    assert options.html is not None  # as the options demand
    write(runs_page(options.results, runs), Path(options.html))
    logger.info("page: %s", options.html)
    return 0
