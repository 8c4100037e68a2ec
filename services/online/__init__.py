"""online: Feast's registry and online store, as every room and tool opens them.

The store's settings (`settings`), the objects that Feast is told of (`catalog`), a SQLite store
that keeps what the stock one loses (`guarded_sqlite`), and rows in and out of it (`features`).
"""
