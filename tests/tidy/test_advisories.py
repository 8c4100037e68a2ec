"""The audit of dependencies reads its tools' answers right; a planted fault is found."""

import json

import pytest

from tests.support.advisories import (
    CLEAN,
    FOUND,
    UNASKED,
    read_npm_audit,
    read_pip_audit,
    report,
)

CLEAN_PIP = {"dependencies": [{"name": "limits", "version": "5.8.0", "vulns": []}], "fixes": []}
PLANTED_PIP = {
    "dependencies": [
        {"name": "limits", "version": "5.8.0", "vulns": []},
        {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2014-8"}]},
    ]
}
SKIPPED_PIP = {"dependencies": [{"name": "limits", "skip_reason": "not found on PyPI"}]}
CLEAN_NPM = {
    "auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"dependencies": {"total": 90}},
}  # fmt: skip
PLANTED_NPM = CLEAN_NPM | {"vulnerabilities": {"vite": {"severity": "high"}}}


@pytest.mark.parametrize(
    "document,code",
    [(CLEAN_PIP, CLEAN), (PLANTED_PIP, FOUND), (SKIPPED_PIP, UNASKED), ({}, UNASKED)],
)
def test_what_pip_audit_says_is_read(document: object, code: int) -> None:
    assert read_pip_audit(json.dumps(document)).code == code


@pytest.mark.parametrize(
    "document,code", [(CLEAN_NPM, CLEAN), (PLANTED_NPM, FOUND), ({"message": "405"}, UNASKED)]
)
def test_what_npm_says_is_read(document: object, code: int) -> None:
    assert read_npm_audit(json.dumps(document)).code == code


@pytest.mark.parametrize("output", ["", "[]", "not JSON", '{"dependencies": []}'])
def test_no_answer_is_never_a_good_one(output: str) -> None:
    assert read_pip_audit(output).code == UNASKED
    assert read_npm_audit(output).code == UNASKED


def test_a_known_fault_and_a_missing_answer_are_told_by_name() -> None:
    assert "jinja2 2.4.1: PYSEC-2014-8" in report("a", read_pip_audit(json.dumps(PLANTED_PIP)))
    assert "NOT AUDITED: 405" in report("b", read_npm_audit('{"message": "405"}'))
