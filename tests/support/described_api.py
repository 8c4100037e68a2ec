"""schemathesis against a gateway: every answer is one that its own OpenAPI document describes."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

EXAMPLES: Final = int(os.environ.get("OUTCRY_API_EXAMPLES", "5"))
"""Generated requests of each kind and path; `make fuzz-api` has more."""
SEED: Final = int(os.environ.get("SEED", "1"))
LEFT_OUT: Final = (
    # Rules between fields (a limit order has a price) and whole numbers written as 1.0 are refused
    # although JSON Schema would have them.
    "positive_data_acceptance",
    # Not what is promised here: sequences of calls, and who may see what (other tests say that).
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
)
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
_SETTINGS: Final = f"""
[checks]
{"\n".join(f"{check}.enabled = true" for check in CHECKS)}
{"\n".join(f"{check}.enabled = false" for check in LEFT_OUT)}

# A batch is accepted whatever its items are: each of them has its own answer.
[[operations]]
include-path = "/orders/batch"
checks.negative_data_rejection.enabled = false
"""


async def check_answers(
    url: str,
    folder: Path,
    timeout_s: float,
    *options: str,
    examples: int = EXAMPLES,
    header: str = "X-Outcry-Account: alice",
) -> tuple[int, str]:
    """Exit code and report of one run against the gateway served here; it leaves files in `folder`.

    `options` are schemathesis's; `header` says who asks.
    """
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json",
        "--header", header,
        "--seed", str(SEED), "--max-examples", str(examples), "--workers", "4",
        "--request-timeout", "60", "--no-color", *options,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")
