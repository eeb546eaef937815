"""Checkpoints and datasets on the Hugging Face hub, through huggingface_hub.

The repository is created (or found) before any long work, so that a missing token or network is known at once. The
folder is uploaded in one commit, without what only resuming needs and without this machine's paths; the place is the
hub that huggingface_hub is set to (`HF_ENDPOINT`), the token the one of `hf auth login` or `HF_TOKEN`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

from rfm.errors import ConfigError, RfmError
from rfm.export.model_card import CARD
from rfm.export.options import HubOptions
from rfm.export.questions_folder import is_questions, public_files
from rfm.export.training_record import public_record
from rfm.files.ownership import MADE_FROM

logger = logging.getLogger(__name__)

_LOCAL = (
    "optimizer.*",
    "scheduler.pt",
    "rng_state*.pth",
    "training_args.bin",
    "*.tmp",
    ".git/*",
    ".cache/*",
    MADE_FROM,
)
"""What only resuming or repeating a command needs, and the Trainer's arguments, a pickle of paths that none reads."""
_HTTPError = cast(type[Exception], HfHubHTTPError.__bases__[0])
"""Of the HTTP library that huggingface_hub is built on: httpx in its releases 1, httpx2 in 2."""


def export_push(options: HubOptions) -> int:
    """Run `rfm export push`."""
    folder = Path(options.checkpoint)
    kind = "dataset" if is_questions(folder) else "model"
    if kind == "model" and not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ConfigError(f"`checkpoint` must be the folder of a checkpoint, but {folder} holds no model")
    uploaded_files(folder)
    check_hub(options.hub_model_id, private=options.hub_private_repo, kind=kind)
    push_folder(folder, options.hub_model_id, kind=kind)
    return 0


def check_hub(repository: str | None, *, private: bool, kind: str = "model") -> str:
    """Create the repository, or find it, and return its full name; raises `RfmError` where that can't be done."""
    if not repository:
        raise ConfigError("`hub_model_id` must name the repository to upload to, as in me/my-model, but is not given")
    with _explained(repository):
        name = str(HfApi().create_repo(repository, private=private or None, exist_ok=True, repo_type=kind).repo_id)
        # a repository that exists is found without the right to write
        HfApi().auth_check(name, write=True, repo_type=kind)
        return name


def push_folder(folder: Path, repository: str | None, *, kind: str = "model") -> None:
    """Upload the folder of a checkpoint or a dataset in one commit."""
    assert repository  # `check_hub` has seen it
    rewritten = public_record(folder) | public_files(folder)
    files = [CommitOperationAdd(name, rewritten.get(name, str(folder / name))) for name in uploaded_files(folder)]
    message = f"Upload {folder.absolute().parent.name}/{folder.name}"
    with _explained(repository):
        done = HfApi().create_commit(repository, files, commit_message=message, repo_type=kind)
    card = "with" if (folder / CARD).is_file() else "without"
    logger.info("uploaded %s, %s a card: %s", folder, card, done)


def uploaded_files(folder: Path) -> list[str]:
    """Return the files that are uploaded, relative to the folder.

    Links are refused: whatever they lead to, maybe nothing that was meant to be seen, would be public under their name.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    names = [name for name in names if not any(fnmatch(name, pattern) for pattern in _LOCAL)]
    for name in names:
        if (folder / name).is_symlink():
            raise ConfigError(
                f"`checkpoint` must hold its files itself to be uploaded, but {folder / name} is a link to "
                f"{(folder / name).readlink()}: put the file in its place, or remove the link"
            )
    return [name for name in names if (folder / name).is_file()]


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one message that says what to do."""
    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"`hub_model_id` must be like me/my-model, but is {repository!r}: {error}") from error
    except LocalTokenNotFoundError as error:
        raise RfmError(f"{_what(repository)}, but there is no token; run `hf auth login` or set HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise RfmError(f"{_what(repository)}, but HF_HUB_OFFLINE forbids it; unset it") from error
    except HfHubHTTPError as error:
        raise RfmError(f"{_what(repository)}, but the hub answers: {_reason(error)}") from error
    except _HTTPError as error:
        raise RfmError(
            f"{_what(repository)}, but the hub can't be reached ({error}); check the network and HF_ENDPOINT; "
            "without the hub nothing is lost, `rfm export push` uploads a checkpoint at any time"
        ) from error


def _what(repository: str) -> str:
    return f"`hub_model_id` {repository} must be a repository that can be written to"


def _reason(error: HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    hint = {
        401: "; run `hf auth login` or set HF_TOKEN",
        403: "; the token must have the right to write there",
    }.get(status or 0, "")
    return str(error).strip().splitlines()[0] + hint
