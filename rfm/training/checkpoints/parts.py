"""What a checkpoint needs beside weights: tokenizer, preprocessing files, `rfm_config.json`, `trained_on.npy`.

And the record of the training, for an adapter the fingerprint of its base, and on 4-bit weights the note that it is so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from rfm.batch.input_format import InputFormat
from rfm.model.load import LoadedModel
from rfm.model.quantization import is_quantized, mark_quantized
from rfm.model.weights.base import adapter_base, record_base
from rfm.vqa.provenance import save_hashes


class CheckpointParts:
    """Writes the parts of one run, which are the same in all its checkpoints."""

    def __init__(
        self,
        loaded: LoadedModel,
        form: InputFormat,
        trajectories: UInt64[np.ndarray, " k"],
        record: Callable[[Path], None] | None = None,
    ) -> None:
        self.loaded, self.form, self.trajectories, self.record = loaded, form, trajectories, record
        self.base = adapter_base(loaded.model)

    def write(self, folder: Path) -> None:
        """Write all of it into a folder with weights."""
        self.loaded.save_processor(folder, self.form)
        save_hashes(folder, self.trajectories)
        if is_quantized(self.loaded.model):
            mark_quantized(folder)
        if self.base is not None:
            record_base(folder, self.base)
        if self.record is not None:
            self.record(folder)
