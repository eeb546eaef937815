"""Verify the collator on a VQA dataset; same as rfm check-collator."""

from rfm.cli import run_script

if __name__ == "__main__":
    run_script("check-collator")
