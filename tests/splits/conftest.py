"""The worlds that are split."""

from split_worlds import by_trajectory, copies, four_tasks

__all__ = ["by_trajectory", "copies", "four_tasks"]
