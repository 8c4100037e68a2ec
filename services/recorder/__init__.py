"""recorder: the log in PostgreSQL, append-only and exactly once, for people and for replays.

Reads: accounts, controls, executions, matching, trades
Writes: nothing; its rows go to PostgreSQL
Owns: orders, cancels, amendments, executions, account_states, trades and archive in PostgreSQL
Never: changes or deletes a row, decides anything, or holds the market back
"""
