"""gateway: REST and WebSocket in front of the log; HTTP in, commands out, feeds back to the caller.

Reads: trades, book, executions, predictions, controls
Writes: orders, controls
Owns: nothing: what it shows is folded from the feeds at each start
Never: decides about money, says yes before a command is durable, or lets one account at another's
 orders
"""
