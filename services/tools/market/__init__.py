"""Flow for the exchange: a simulated crowd, and recorded LOBSTER sessions replayed and verified.

`simulator.py` and `lobster.py` are pure: a seed or a file in, commands out. `publish.py` sends
commands to `orders` as any Kafka client would; `replay.py` runs a whole session through rooms of
its own; `oracle.py` says whether the books came out right; `commands.py` is what people type.
"""
