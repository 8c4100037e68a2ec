"""vectorfold: the rows of a fold of trades from whole columns at once, for backfills.

`services.featuresets` says what a row is, one trade after the other; here the same integers come
from columns. tests/property/vectorfold holds the two together, value by value.
"""
