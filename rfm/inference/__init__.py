"""Greedy answers of a checkpoint to the questions of a dataset."""
