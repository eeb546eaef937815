"""How long tests wait for another process: a guard against hanging, never a measure of speed."""

PATIENCE = 1800
"""Seconds; commands of a few seconds took over 300 where all of the machine was in other use."""
