"""Whole experiments with the reward model, a command each; notebooks beside them."""
