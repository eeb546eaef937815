"""Generate a VQA dataset from trajectories; same as rfm generate."""

from rfm.cli import run_script

if __name__ == "__main__":
    run_script("generate")
