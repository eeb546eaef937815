"""What went wrong in the processes that make batches, in words that say what to do.

A worker's exception reaches the run as text inside an exception of the same class; a worker that the system killed,
most often for lack of memory, as torch's RuntimeError. Both come from whatever the run was doing: training or
evaluating.
"""

from __future__ import annotations

import errno
import re
import resource
from pathlib import Path

from rfm.errors import RfmError
from rfm.training.checkpoints.folders import way_on
from rfm.training.options import TrainOptions

_KILLED = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)"
)
_PIN_THREAD = "Pin memory thread exited unexpectedly"
_IN_WORKER = re.compile(r"Caught (\w+) in (?:DataLoader worker process|pin memory thread)")
_FILES = ("Too many open files", "received 0 items of ancdata")
_PROCESSES = (errno.EAGAIN, errno.ENOMEM)


class LoadingError(RfmError):
    """The processes that make batches ended, or could not be had."""


def unwrapped(error: RfmError) -> RfmError:
    """Return an error of ours from a worker with its own text alone, and any other as it is."""
    if not _IN_WORKER.search(str(error)):
        return error
    *_, reason = str(error).rpartition(f"{type(error).__module__}.{type(error).__name__}: ")
    return type(error)(reason.strip())


def explained(error: BaseException, options: TrainOptions) -> LoadingError | None:
    """Return what to do about a worker that was killed or can't work; None for an error that no worker had part in."""
    text = str(error)
    if killed := _KILLED.search(text):
        how = f"by the signal {killed[1]!r}" if killed[1] else "from outside"
        return LoadingError(
            f"processes that make batches must live as long as the run, but one was ended {how}, most often by the "
            f"system for lack of memory; {_smaller(options)}; {_way_on(options)}"
        )
    if _PIN_THREAD in text:
        return LoadingError(f"batches must reach the GPU, but the thread that pins them ended; {_way_on(options)}")
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or any(part in text for part in _FILES):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return LoadingError(
            f"`ulimit -n` must allow the files of {options.dataloader_num_workers} processes that make batches, but is "
            f"{limit}; raise it to 1024, or {_fewer(options)}"  # no way on: looking for it takes a file
        )
    in_worker = _IN_WORKER.search(text)
    if in_worker and (in_worker[1] == "MemoryError" or "DefaultCPUAllocator" in text):
        return LoadingError(
            f"memory must hold the batches that are being made, but ran out in a process that makes them; "
            f"{_smaller(options)}; {_way_on(options)}"
        )
    if isinstance(error, OSError) and error.errno in _PROCESSES:
        return LoadingError(
            f"there must be room for {options.dataloader_num_workers} processes that make batches, but they can't be "
            f"started ({error.strerror}); {_fewer(options)}; {_way_on(options)}"
        )
    return None


def _smaller(options: TrainOptions) -> str:
    sizes = ("train", "eval") if options.eval_dataset_path else ("train",)
    flags = [f"--per_device_{which}_batch_size" for which in sizes] if not options.packing else ["--max_tokens"]
    return f"{_fewer(options)}, or lower {' and '.join(flags)}"


def _fewer(options: TrainOptions) -> str:
    fewer = options.dataloader_num_workers // 2
    return f"pass --dataloader_num_workers {fewer}{' (batches are then made between the steps)' if fewer == 0 else ''}"


def _way_on(options: TrainOptions) -> str:
    return f"then {way_on(Path(options.output_dir))}"
