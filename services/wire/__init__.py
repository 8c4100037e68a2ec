"""How values look on the log: topics, partitions, Avro and JSON. Pure: bytes in, values out."""
