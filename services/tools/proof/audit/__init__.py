"""`outcry audit`: everything derived again from the log, by code that shares none with the rooms.

What is checked, and by what:

schemas.py     the wire: framing and schema versions; avro_*.py read and write the bodies, and what
               is written oddly is left to fastavro, as data
strict_avro.py, json_orders.py, ingest.py   what each client's record must become
model/         the folds of risk and matcher, written a second time
flows.py       what should have been written against what was, message by message
rows.py, row_maker.py   PostgreSQL, row by row and byte by byte
auditor.py     reads the log and puts it all together

Nothing here may import the code it checks (`services.domain`, the codec, a room); an import
contract holds that. What is shared is data: the schema files, the names of topics, the ports.
"""
