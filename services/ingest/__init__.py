"""ingest: the one door from what anybody wrote to what the exchange works on.

Reads: orders, controls
Writes: accounts, matching, orders.dlq
Owns: nothing; it keeps no state between records
Never: knows the genesis, checks money, ticks or lots, or drops a record without a dead letter
"""
