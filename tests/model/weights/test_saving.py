import resource

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from rfm.errors import DataError
from rfm.model.weights.saving import written_whole

LIMIT = 100_000
MANY = {"weight": torch.zeros(LIMIT)}


@pytest.fixture
def little_room():
    """No file of this process may grow past LIMIT bytes: writing fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("save", [lambda path: save_file(MANY, path), lambda path: torch.save(MANY, path)])
def test_weights_that_do_not_fit_on_the_disk(tmp_path, little_room, save):
    folder = tmp_path / "checkpoint-5"
    expected = r"checkpoint-5 must be written whole, but can't be: \d+\.\d+ GB are free .*; free some, then go on"
    with pytest.raises(DataError, match=expected), written_whole(folder, lambda: "then go on"):
        save(tmp_path / "weights")


def test_a_tokenizer_that_does_not_fit_on_the_disk(tmp_path):
    expected = r"tokenizer must be written whole, but can't be: .*No space left on device.*; free some, then go on"
    with pytest.raises(DataError, match=expected), written_whole(tmp_path / "tokenizer", lambda: "then go on"):
        Tokenizer(models.BPE()).save("/dev/full")
    with pytest.raises(Exception, match="No such file"), written_whole(tmp_path, str):
        Tokenizer(models.BPE()).save(str(tmp_path / "none" / "tokenizer.json"))


def test_other_faults_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shapes"), written_whole(tmp_path, str):
        raise RuntimeError("shapes differ")
