import json
import re

import pytest
from checkpoints import random_checkpoint

from rfm.batch.input_format import InputFormat
from rfm.errors import DataError
from rfm.model.load import load_model
from rfm.model.trained_format import trained_format


def test_it_is_what_a_loaded_checkpoint_has(tmp_path):
    random_checkpoint(tmp_path)
    loaded, found = load_model(tmp_path), trained_format(str(tmp_path))
    assert found is not None
    assert (found.form, found.spec) == (loaded.form, loaded.spec)
    assert found.form == InputFormat(32, 32)


def test_none_where_training_here_did_not_make_it(tmp_path):
    random_checkpoint(tmp_path)
    (tmp_path / "rfm_config.json").unlink()
    assert trained_format(str(tmp_path)) is None


@pytest.mark.parametrize("values", [{"image_mean": 3}, {"image_std": [1]}])
def test_a_damaged_preprocessing_file_is_one_message(tmp_path, values):
    random_checkpoint(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    with pytest.raises(DataError, match=re.escape(f"the preprocessing files of {tmp_path} can't be used (")):
        trained_format(str(tmp_path))
