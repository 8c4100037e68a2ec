"""Above the rooms: the stack, the market's tools, the proofs and the benchmarks.

Tools may import everything, rooms' cores too; no room imports a tool.
"""
