"""`python -m benchmarks.results`: measure what is not measured yet, and write the page."""

from __future__ import annotations

import logging
import sys

import torch

from benchmarks.results.plan import Options, run
from rfm.console import console, set_up_logging
from rfm.errors import RfmError
from rfm.options import parse_options

if __name__ == "__main__":
    set_up_logging()
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    try:
        run(parse_options(Options, "python -m benchmarks.results", sys.argv[1:]))
    except RfmError as error:
        console().print(f"error: {error}", style="bold red", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        logging.getLogger("rfm").warning("interrupted; the same command goes on where it stopped")
        sys.exit(130)
