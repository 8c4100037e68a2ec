"""What every test shares: how Hypothesis searches, and readable asserts in tests/support."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support")

# Tests patch the audit's functions, which only its pure form lets them do;
# tests/replay/test_compiled_audit.py compares the two forms.
os.environ["OUTCRY_PURE"] = "1"

# Brokers of tests live for minutes: quick to start beats a high peak. An own value is kept.
os.environ.setdefault("OUTCRY_KAFKA_COMPILER", "quick")

# A transaction costs a broker milliseconds however small it is, and most tests wait for no more
# than a handful of orders at a time: a third of them is enough.
os.environ.setdefault("OUTCRY_TRANSACTION_INTERVAL_MS", "30")

# One real stack for the whole session, started only when a test asks for it.
pytest_plugins = ["tests.support.stack_fixture"]

# No deadline: a slow machine is not a broken invariant. On CI the same examples every
# time, so that a red build is the change's; at a desk new ones, so that we keep learning.
settings.register_profile("desk", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    parent=settings.get_profile("desk"),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
