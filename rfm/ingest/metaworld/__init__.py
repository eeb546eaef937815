"""Simulated robot videos: MetaWorld tasks, scripted policies good and bad, labels from the simulator's state.

The entry function is `generate.generate_metaworld`; like `engine`, its module needs the extra `sim` and names it where
it is missing. `tasks`, `labels`, `others`, `slots`, `bundle` and `video` need no simulator.
"""
