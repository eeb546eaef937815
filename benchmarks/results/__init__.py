"""What the models of this repository are worth: measured step by step, and shown on docs/results.md.

`python -m benchmarks.results` (or `make results`) makes questions and models by the ordinary commands of the package
(`steps`: each with a mark that says what it was made from), judges every model on every side (`sides`, `judging`),
trains the ladder of data (`ladder`), leaves one JSON file a model and one for the ladder in docs/results/ (`figures`),
and renders the page from those files alone (`page`). It is no part of the package: it names this repository's models,
simulated episodes and documents.
"""
