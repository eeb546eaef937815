"""`rfm report RESULTS.json`: the tables of a results file again, as Markdown or as a picture."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import ConfigError
from rfm.evaluation.reports.tables import markdown, print_results
from rfm.export.results_file import read_results
from rfm.files.ownership import check_new_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportOptions:
    """Show a results file of `rfm evaluate`."""

    results: str = field(metadata={"help": "Results file", "positional": True})
    markdown: bool = field(default=False, metadata={"help": "Write the tables as Markdown to standard output"})
    plot_path: str | None = field(default=None, metadata={"help": "Path to save a picture (.png)"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a picture that exists"})

    def __post_init__(self) -> None:
        if self.plot_path is not None and Path(self.plot_path).suffix != ".png":
            raise ConfigError(f"`plot_path` must end in .png, but is {self.plot_path}")


def report(options: ReportOptions) -> int:
    """Run `rfm report`."""
    if options.plot_path is not None:
        check_new_file("plot_path", Path(options.plot_path), overwrite=options.overwrite)
    results = read_results(options.results, ("model_path", "dataset_path", "best_constant", "controls"))
    if options.markdown:
        sys.stdout.write(markdown(results))
    else:
        print_results(results)
    if options.plot_path is not None:
        from rfm.evaluation.reports.plot import plot_results  # a second to import, and only pictures need it

        plot_results(results, Path(options.plot_path))
        logger.info("picture: %s", options.plot_path)
    return 0
