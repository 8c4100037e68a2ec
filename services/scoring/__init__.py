"""scoring: what is true of a moment, and how good an answer about it was.

What trainer, drift and tools share: labels of rows (`labels`), what a model must beat
(`baselines`), figures of answers (`metrics`) and their intervals by blocks (`intervals`). Pure.
"""
