"""`python -m benchmarks.results`: measure what is not measured yet, and write the page."""

from __future__ import annotations

import sys

import torch

from benchmarks.results.plan import Options, run
from rfm.cli import run_module

if __name__ == "__main__":
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    sys.exit(run_module(Options, run, "python -m benchmarks.results"))
