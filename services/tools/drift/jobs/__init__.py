"""What drift's jobs do: `run` takes windows that are over and not judged yet, one kind at a time.

`place` is what a job looks at, `reference` what a window is held against, `judged`, `performance`
and `parity` make results of it, `told` is what a run says. The room `drift` starts these in a
process of their own, as `outcry drift run` does (decision 20).
"""
