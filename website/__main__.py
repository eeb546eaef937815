"""`python -m website`: the documents as a site in `site/`; an error where a linked page or heading is missing.

`zensical.toml` says what stands where in the navigation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from website.pages import ROOT, assemble


def main() -> int:
    """Build the site, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="site", help="folder of the site, below which nothing else should lie")
    return build(Path(parser.parse_args().output))


def build(output: Path) -> int:
    """Build the site into `output`, with what it is made from in `output/.pages`."""
    made = output / ".pages"
    shutil.rmtree(output, ignore_errors=True)
    assemble(made / "docs")
    shutil.copy(ROOT / "zensical.toml", made / "zensical.toml")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    status = subprocess.run(command, cwd=made, env=environment, check=False).returncode
    if not status:
        for path in (made / "site").iterdir():
            shutil.move(path, output / path.name)
        shutil.rmtree(made)
    return status


if __name__ == "__main__":
    sys.exit(main())
