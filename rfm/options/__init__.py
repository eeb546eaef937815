"""Command lines from option dataclasses."""
