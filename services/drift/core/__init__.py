"""Pure: from a reference and a window as columns to named outcomes.

`panel` rows as columns -> `sums` of stretches of them -> `statistics` of a stretch against others
-> `calibration` of what is usual -> `judge`. `slowness` says how long a stretch must be.
"""
