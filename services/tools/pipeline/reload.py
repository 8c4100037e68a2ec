"""The step that has the inference service look at its registry, and sees what it serves then."""

from typing import Any, Final

import httpx
import msgspec

from services.tools.pipeline.errors import PipelineError

RELOAD_S: Final = 60.0
"""For the service to load, verify and warm a model."""


class Wanted(msgspec.Struct, frozen=True):
    """What the service must serve as champion."""

    name: str
    version: int | None
    """None: the name has no champion."""
    promoted: bool
    """By this run: then it is a fault if it is not served."""


def reload_service(url: str, wanted: Wanted) -> dict[str, Any]:
    """Tell an inference service to look at its aliases now; what it serves after that.

    Raises:
        PipelineError: it does not answer, or doesn't serve what was promoted.
    """
    outcomes = {one["alias"]: one for one in _ask("POST", url, "/admin/reload")["outcomes"]}
    outcome = outcomes["champion"]
    served = _ask("GET", url, "/models")["models"].get("champion")
    serving = None if served is None else served["version"]
    if served is not None and (served["name"], serving) == (wanted.name, wanted.version):
        return {"reloaded": True, "champion": outcome["outcome"], "serving": serving}
    what = "no model" if served is None else f"{served['name']} version {serving}"
    cause = ", ".join(
        str(part) for part in (outcome["outcome"], outcome["reason"], outcome["detail"]) if part
    )
    champion = "no champion" if wanted.version is None else f"version {wanted.version} as champion"
    why = f"the registry has {champion} of {wanted.name}, and the service serves {what} ({cause})"
    if wanted.promoted:
        raise PipelineError(
            f"step reload: {why}: mend what it says (GET {url}/models tells more; a service serves"
            " one horizon, OUTCRY_INFERENCE_HORIZON_S, and one registry) and run it again, or"
            " leave the step out (--no-reload)"
        )
    return {"reloaded": False, "champion": outcome["outcome"], "serving": serving, "why": why}


def _ask(method: str, url: str, path: str) -> Any:  # noqa: ANN401 - a document of JSON
    body: dict[str, Any] | None = {} if method == "POST" else None
    try:
        answer = httpx.request(method, f"{url}{path}", json=body, timeout=RELOAD_S)
    except httpx.HTTPError as error:
        raise PipelineError(
            f"step reload: the inference service at {url} does not answer ({error}); start it"
            " (`outcry up`) or leave the step out (--no-reload), then run it again"
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise PipelineError(
            f"step reload: the inference service answered {answer.status_code}:"
            f" {answer.text[:300]}; see its log in OUTCRY_HOME, run it again, or"
            " leave the step out (--no-reload)"
        )
    return answer.json()
