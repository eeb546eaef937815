import pytest

from rfm.errors import MissingExtraError
from rfm.inference.engines.vllm import VLLMEngine


def test_without_vllm_the_way_out_is_named(tmp_path):
    with pytest.raises(MissingExtraError) as caught:
        VLLMEngine("model", tmp_path)
    assert str(caught.value) == (
        "--engine vllm needs vLLM, which is not installed: pip install vllm in an environment of its own, beside "
        "rfm-vqa; or serve the checkpoint elsewhere and take --engine openai --base_url http://HOST:8000/v1"
    )
