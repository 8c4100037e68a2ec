"""What a log line must not say."""

import pytest

from services.runtime.redaction import DEPTH_MAX, REDACTED, clean_text, redact


def cleaned(**event: object) -> object:
    return redact(None, "info", event)


@pytest.mark.parametrize(
    "name",
    ["password", "PGPASSWORD", "gateway_keys_secret", "api_key", "X-Api-Key", "Authorization",
     "access_token", "signature", "private_key", "cookie"],
)  # fmt: skip
def test_a_value_whose_name_is_that_of_a_secret_is_not_said(name: str) -> None:
    assert cleaned(**{name: "hunter2"}) == {name: REDACTED}
    assert cleaned(told={name: b"hunter2"}) == {"told": {name: REDACTED}}


@pytest.mark.parametrize(
    "text, said",
    [
        ("postgresql://outcry:hunter2@db/o", "postgresql://outcry:[redacted]@db/o"),
        ("redis://:hunter2@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("host=db password=hunter2 user=o", "host=db password=[redacted] user=o"),
        ("key outcry_0123456789abcdef_S3cr-et_x.", "key outcry_0123456789abcdef_[redacted]."),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [redacted]"),
    ],
)  # fmt: skip
def test_secrets_are_told_by_their_form_in_any_text(text: str, said: str) -> None:
    assert clean_text(text) == said
    assert cleaned(error=ValueError(text), lines=[text]) == {"error": said, "lines": [said]}


@pytest.mark.parametrize(
    "text",
    ["AAPL-8f14e45f", "orders/0 offset 12", "http://127.0.0.1:19080/orders", "a:b@c",
     "the key ended", "outcry_records_consumed_total"],
)  # fmt: skip
def test_other_text_stays_as_it_is(text: str) -> None:
    assert clean_text(text) == text


def test_numbers_and_absent_values_stay_and_a_flag_of_a_secret_does() -> None:
    event = {"offset": 7, "took_s": 0.5, "cause": None, "has_password": True}
    assert cleaned(**event) == event


def test_what_is_nested_too_deeply_is_not_said() -> None:
    value: object = "hunter2"
    for _ in range(DEPTH_MAX + 1):
        value = {"inner": value}
    assert "hunter2" not in str(cleaned(value=value))
