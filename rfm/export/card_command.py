"""`rfm export card`: the card of a checkpoint, or of a VQA dataset, written anew."""

from __future__ import annotations

import logging
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.export.model_card import CARD, TAG, write_card
from rfm.export.options import CardOptions
from rfm.export.questions_card import write_questions_card
from rfm.export.questions_folder import is_questions
from rfm.model.stock.files import ADAPTER_FILE

logger = logging.getLogger(__name__)


def export_card(options: CardOptions) -> int:
    """Run `rfm export card`."""
    folder = Path(options.checkpoint)
    if is_questions(folder):
        return _questions_card(folder, options)
    if options.license is not None or options.datasets_root is not None:
        raise ConfigError(
            f"`license` and `datasets_root` must go with a VQA dataset, but {folder} is none; leave them out"
        )
    if not any((folder / name).is_file() for name in ("config.json", ADAPTER_FILE)):
        raise DataError(f"`checkpoint` must be the folder of a checkpoint, but {folder} holds no model")
    if not options.overwrite:
        _check_ours(folder / CARD)
    logger.info("model card: %s", write_card(folder, options.evaluation))
    return 0


def _questions_card(folder: Path, options: CardOptions) -> int:
    if options.evaluation is not None:
        raise ConfigError(f"`evaluation` must go with a checkpoint, but {folder} is a VQA dataset; leave it out")
    if not options.overwrite:
        _check_ours(folder / CARD)
    logger.info("card: %s", write_questions_card(folder, options.license, options.datasets_root))
    return 0


def _check_ours(card: Path) -> None:
    """Refuse to replace somebody's own page: the cards that are written here carry a tag."""
    if card.exists() and TAG not in card.read_text(encoding="utf-8", errors="replace"):
        raise DataError(f"{card} must be a card that rfm wrote, but is not; keep it elsewhere, or add --overwrite")
