"""What a page of `rfm browse` costs: seconds, processor seconds and size, and when a browser can be used.

    python benchmarks/browse.py --rows 500 100000

Questions about the bundled videos; each page in a process of its own, so that imports count. With Chromium and
playwright here the page is opened and says after how many milliseconds rows, filters and bars were drawn.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 100_000])
    for rows in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), rows)


def measure(folder: Path, rows: int) -> None:
    questions, page = folder / "questions", folder / "browse.html"
    rfm("generate", "--output_path", questions, "--num_samples", rows)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    rfm("browse", questions, "--output_path", page)
    spent, cpu = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    print(
        f"{rows} rows: {spent:.1f} s, {cpu:.1f} s of processor time, {page.stat().st_size / 1e6:.1f} MB{opened(page)}"
    )


def rfm(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "rfm", *map(str, words)], check=True, stderr=subprocess.DEVNULL)


def opened(page: Path) -> str:
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return ""
    if chromium is None:
        return ""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.set_default_timeout(300_000)
        tab.goto(page.as_uri())
        ready = tab.evaluate("document.documentElement.dataset.ready")
        browser.close()
    return f", can be used after {ready} ms"


if __name__ == "__main__":
    main()
