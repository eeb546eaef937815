"""Answers to the rows of a dataset: of a checkpoint, a server, or vLLM."""
