"""`rfm train`: unsloth, where it is asked for, is imported before transformers, and then training begins."""

from __future__ import annotations

from pathlib import Path

from rfm.training.options import TrainOptions


def train_command(options: TrainOptions) -> Path:
    """Run `rfm train`."""
    if options.use_unsloth:
        from rfm.model.unsloth_import import import_unsloth

        import_unsloth()
    from rfm.training.run import train

    return train(options)
