"""The gateway's read model: what the feeds say, folded. Pure: bytes in, values out.

Records are kept as the bytes they came in and decoded when somebody asks: thousands pass each
second, and few are looked at.
"""
