"""The vocabulary all rooms share: pure values, no I/O, no clock, no chance.

Prices are ints in 1/10000 dollar, quantities ints in shares, times ints in microseconds since
the Unix epoch (UTC). Nothing here imports anything of Outcry outside this package.
"""
