"""Simulated robot videos: MetaWorld tasks, scripted policies good and bad, labels from the simulator's state.

The entry function is `generate.generate_metaworld`. Its module, `engine`, `policies`, `simulate` and `render` need the
extra `sim`, and name it where it is missing; the others need no simulator.
"""
