"""The stack without Docker: Kafka, schema registry, PostgreSQL and the rooms under one supervisor.

`stack.py` is the way in (`Stack`, `RoomSet`, `running_stack`); `supervisor.py` is the loop that
runs as a process of its own; `programs.py` and `rooms.py` say what it runs; `commands.py` is what
people type. The supervisor has one thread and imports no client library, because it forks.
"""
