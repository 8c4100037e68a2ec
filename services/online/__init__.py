"""online: Feast's registry and online store, as every room and tool opens them.

Where it is (`address`, `settings`), the objects that Feast is told of (`catalog`), a SQLite store
that keeps what the stock one loses (`guarded_sqlite`), and rows in and out of it (`rows`,
`features`). Importing Feast takes seconds: `address`, `rows` and `errors` do without.
"""
