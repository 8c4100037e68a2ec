from services.tools.operate.connect import Deployment
from services.tools.proof.audit.auditor import Findings
from services.tools.proof.audit.ledger import Digest, Finding
from services.tools.proof.audit_record import digest_of, record_audit, to_row

ORDERS = Digest("orders", 0, 0, 12, 10, "aa")
TRADES = Digest("trades", 1, 0, 5, 4, "bb")
BOOK = Digest("book", 0, 0, 9, 3, "cc")


def found(*findings: Finding) -> Findings:
    first = findings[0] if findings else None
    return Findings(first, findings, {}, {}, (TRADES, ORDERS, BOOK), {})


def test_a_row_says_what_was_read_and_where_the_first_difference_is_but_not_what() -> None:
    row = to_row(
        found(Finding("rows", "trades", 1, 4, "alice buys", "mallory buys", "table trades"))
    )
    assert (row["holds"], row["differences"], row["records"]) == (False, 1, 17)
    assert row["first_difference"] == "trades/1 at offset 4, table trades (rows)"
    assert row["next_offsets"] == '{"book":[9],"orders":[12],"trades":[5]}'
    assert to_row(found())["first_difference"] == ""


def test_the_digest_is_that_of_the_records_in_whatever_order_they_were_read() -> None:
    one = digest_of((ORDERS, TRADES, BOOK))
    assert digest_of((TRADES, ORDERS)) == one
    for other in (Digest("orders", 0, 0, 12, 10, "ab"), Digest("orders", 1, 0, 12, 10, "aa")):
        assert digest_of((other, TRADES)) != one


def test_a_database_that_is_away_is_a_warning_and_no_failure() -> None:
    deployment = Deployment("127.0.0.1:1", "http://127.0.0.1:1", "host=127.0.0.1 port=1", "")
    assert "refused" in record_audit(deployment, found(), from_snapshots=False)
