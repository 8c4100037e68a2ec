"""risk: decides what an account may do, and is the single voice of what became of it.

Reads: accounts
Writes: matching, executions
Owns: accounts, limits, positions, reservations, live orders, and the commands it remembers
Never: matches orders, keeps a book, or says NEW before the matcher has the order
"""
