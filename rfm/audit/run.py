"""The command `rfm audit`."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from rfm.audit.comparison import compare
from rfm.audit.dataset_audit import audit_dataset
from rfm.audit.options import AuditOptions
from rfm.audit.reading.subject import open_subject
from rfm.audit.report import as_json, print_audit
from rfm.console import show
from rfm.errors import ConfigError
from rfm.files.ownership import check_new_file
from rfm.files.staging import staged_file

logger = logging.getLogger(__name__)


def audit(options: AuditOptions) -> int:
    """Audit the datasets, print what was found, and return the exit status: 1 if a limit is passed.

    Raises:
        DataError: a path holds no VQA dataset, or `datasets_root` is no folder.
        ConfigError: `output_path` can't be written to.

    """
    _check_output(options.output_path, overwrite=options.overwrite)
    subjects = [open_subject(path, options.datasets_root, options.max_rows) for path in options.datasets]
    audits = [audit_dataset(subject, options) for subject in subjects]
    comparisons = compare(subjects, options)
    failed = [
        f"{name}: {check.name}"
        for name, checks in (
            *((one.subject.path, one.checks) for one in audits),
            *((f"{one.first} beside {one.second}", one.checks) for one in comparisons),
        )
        for check in checks
        if check.fails(strict=options.strict)
    ]
    found = {"passed": not failed, "failed": failed, **as_json(audits, comparisons, strict=options.strict)}
    if options.output_path is not None:  # before it is shown: whoever reads that may stop
        text = json.dumps(found, indent=2, ensure_ascii=False)
        with staged_file(Path(options.output_path)) as staged:
            staged.write_text(text + "\n", encoding="utf-8")
    show(lambda: found, lambda: print_audit(audits, comparisons))
    if failed:
        logger.error("the audit fails:\n%s", "\n".join(f"  {name}" for name in failed))
    else:
        logger.info("the audit passes")
    return int(bool(failed))


def _check_output(path: str | None, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if Path(path).is_dir() or not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"`output_path` must be a file in a folder that exists, but is {path}")
    check_new_file("output_path", Path(path), overwrite=overwrite)
