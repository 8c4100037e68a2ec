"""A shard from its dump, as state.py documents it."""

from typing import Any

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.accounts import Account, Done, Shard, read_order, weigh


def load_shard(shard: Shard, rows: list[Any]) -> None:
    """Fill a fresh shard; what is counted begins with the orders that are open."""
    _, genesis, _, sent, now_us, marks, accounts, ended = rows
    if genesis is not None:
        shard.begin(genesis)
    shard.sent.load(sent)
    shard.now_us = now_us
    for market, mark in zip(shard.markets.values(), marks, strict=True):
        market.mark = mark
    for row in accounts:
        _load_account(shard, row)
    shard.counts.submitted = shard.live_count
    for row in ended:
        _load_ended(shard, row)


def _load_account(shard: Shard, row: list[Any]) -> None:
    name, sequence, killed, short_allowed, position_max, notional_max, exposure_max = row[:7]
    account = shard.accounts[name] = Account(
        {
            "account": name,
            "short_allowed": short_allowed,
            "position_max": position_max,
            "notional_max": notional_max,
            "exposure_max": exposure_max,
        }
    )
    account.sequence = sequence
    account.killed = killed
    holdings, live = row[7:]
    for ticker, position, own_position_max, own_notional_max in holdings:
        holding = account.holding(shard.markets[ticker])
        holding.position = holding.deposited = position
        holding.position_max, holding.notional_max = own_position_max, own_notional_max
    for order_row in live:
        order = read_order(order_row)
        if order.account != name or order.status > n.PARTIALLY_FILLED:
            msg = f"{order.order_id} is not a live order of {name}"
            raise ValueError(msg)
        holding = account.holding(shard.markets[order.ticker])
        shard.checked += 1
        order.entry = shard.checked
        holding.shift(order.side, *weigh(order))
        holding.live[order.order_id] = account.orders[order.order_id] = order
        account.known[order.client_order_id] = order
        account.live_count += 1
        shard.live_count += 1


def _load_ended(shard: Shard, row: list[Any]) -> None:
    account = shard.accounts[row[1]]
    if row[0] == 0:
        order = read_order(row)
        account.orders[order.order_id] = account.known[order.client_order_id] = order
        shard.ended.append(order)
    else:
        done = Done(*row[1:])
        account.known[done.command_id] = done
        shard.ended.append(done)
