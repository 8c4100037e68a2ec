"""The hash of a data set: SHA-256 over canonical bytes of what it says, whatever files said it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring.arrays import Codes

FORMAT: Final = 1
"""Of the canonical bytes. Whoever changes them raises it, and every hash changes."""


def content_sha256(
    rule: Mapping[str, object],
    tickers: Sequence[str],
    ticker: Codes,
    columns: Sequence[NDArray[Any]],
) -> str:
    """In hexadecimal.

    Args:
        rule: what the rows were made by; plain values.
        tickers: in alphabetical order.
        ticker: of each row its place among them; a ticker's rows are in order of time.
        columns: each of one or two dimensions, a row of it for each row.
    """
    digest = sha256(msgspec.json.encode([FORMAT, rule], order="deterministic"))
    order = np.argsort(ticker, kind="stable")
    ends = np.searchsorted(ticker[order], np.arange(len(tickers)), side="right")
    begin = 0
    for name, end in zip(tickers, ends.tolist(), strict=True):
        places = order[begin:end]
        # A ticker without a row is one that was not there.
        if len(places):
            digest.update(f"\n{name} {len(places)}\n".encode())
            for column in columns:
                little = column.dtype.newbyteorder("<")
                digest.update(np.ascontiguousarray(column[places], dtype=little).data)
        begin = end
    return digest.hexdigest()
