"""History: recorded trades, bars and order flow into the lake, and out of it as if live."""
