"""The errors that a user can act on.

Whatever goes wrong through input (a flag, a file, a row) is raised as `RfmError` with a text that names the field, the
rule, the value, the place and the way out. The command line prints that text alone and exits with status 1; any other
exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations


class RfmError(Exception):
    """An input that cannot be used; its text is shown to the user as it stands."""


class ConfigError(RfmError):
    """A configuration key or value that is not valid."""


class DataError(RfmError):
    """A file, row or array that is missing, unreadable or contradicts its own description."""


class MissingExtraError(RfmError):
    """An optional dependency that is not installed; names the extra that brings it."""


NO_TORCH = (
    "torch must be installed, but is not; take the build for this machine: `pip install torch`, or with uv "
    "`uv pip install --no-config --torch-backend auto torch`"
)
"""`uv.lock` leaves it out, and `uv pip` too in a clone, unless it is to read no configuration."""


class ServerError(RfmError):
    """A server that can't be reached, or does not answer what it is asked."""
