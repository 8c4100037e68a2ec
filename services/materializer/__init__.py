"""materializer: feature rows to Feast's online store and to the Parquet lake.

Reads: features
Writes: nothing; its rows go to the online store and the lake
Owns: the rows of the online store and the lake's files of streamed features
Never: computes a feature, or puts an older row over a newer one
"""
