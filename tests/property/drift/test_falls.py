"""The numbers of a test for a fall hang together, whatever they are."""

from hypothesis import given
from hypothesis import strategies as st

from services.drift.core.falls import FallTest
from services.models.manifest import Estimate

sizes = st.floats(0, 1, allow_nan=False)


def estimates(value: float, below: float, above: float) -> Estimate:
    return Estimate(value, value - below, value + above)


@given(st.builds(estimates, st.floats(-1, 1), sizes, sizes))
def test_the_ratio_is_above_one_exactly_where_it_has_fallen(margin: Estimate) -> None:
    test = FallTest("promise", "its manifest", 0.5, margin, 0.0125)
    assert test.ratio >= 0
    assert (test.ratio > 1) is test.is_fallen
