"""trainer: the lake's feature rows to data sets, and data sets to models. A job, run when asked.

Reads: nothing of the log; its rows come from the lake
Writes: nothing; its models go to the registry
Owns: what a data set is: labels, splits, content hash and leak checks
Never: lets a row know what was not known at its time, or trains where a leak check fails
"""
