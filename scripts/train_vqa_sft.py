"""Fine-tune a Qwen-VL model on a VQA dataset; same as rfm train."""

from rfm.cli import run_script

if __name__ == "__main__":
    run_script("train")
