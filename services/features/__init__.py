"""features: trades to feature rows on the event-time grid, live. A Faust app.

Reads: trades
Writes: features
Owns: nothing that outlives it; its state is folded again from the log
Never: reads a trade that was aborted, knows a clock in its fold, or keeps a table
"""
