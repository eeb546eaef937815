"""Evaluate a checkpoint on a VQA dataset; same as rfm evaluate."""

from rfm.cli import run_script

if __name__ == "__main__":
    run_script("evaluate")
