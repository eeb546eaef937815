"""`rfm train` with accelerate's FSDP2 on CPU processes: accelerate offers it on accelerators only, torch on both.

Run by torchrun. Nothing else is changed: accelerate wraps, shards, clips and saves as it does on GPUs.
"""

from __future__ import annotations

import sys
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from rfm.cli import run_command


def main(words: list[str]) -> int:
    """Run `rfm train` in this process, which shards from now on."""
    begin = AcceleratorState.__init__

    def begin_sharding(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        begin(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = begin_sharding
    return run_command(("train",), words, program=None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
