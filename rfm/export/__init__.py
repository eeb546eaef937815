"""Taking models and datasets elsewhere: merged checkpoints, other frameworks' datasets, model cards, the hub."""
