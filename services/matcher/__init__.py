"""matcher: the books. One ticker a partition, price-time priority.

Reads: matching
Writes: accounts, trades, book
Owns: every order that rests, each ticker's status and last price
Never: knows money, limits or positions; forgets or drops an order by itself; reads a clock
"""
