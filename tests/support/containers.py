"""docker-compose.yml and infra/docker/Dockerfile, read as their engine would, for the tests."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml

from tests.tidy.tree import ROOT

COMPOSE: Final = ROOT / "docker-compose.yml"
DOCKERFILE: Final = ROOT / "infra" / "docker" / "Dockerfile"
SECRETS: Final[Mapping[str, str]] = {
    "POSTGRES_PASSWORD": "p" * 32,
    "GRAFANA_PASSWORD": "g" * 32,
    "KAFKA_CLUSTER_ID": "5eG7k2uNSd2d1b7aXqYw3Q",
}
"""What has no default, as a `.env` would have it."""

type Service = dict[str, Any]

_VARIABLE: Final = re.compile(r"\$\{(?P<name>\w+):\?[^}]*\}")
_CONTINUED: Final = re.compile(r"\\\n")


def read_compose(text: str | None = None) -> dict[str, Any]:
    """The file with anchors merged and variables put in.

    Raises:
        KeyError: it wants a variable that is not among `SECRETS`, or gives one a default.
    """
    text = COMPOSE.read_text(encoding="utf-8") if text is None else text
    filled = _VARIABLE.sub(lambda found: SECRETS[found["name"]], text)
    code = "\n".join(line.partition(" #")[0] for line in filled.splitlines())
    if "${" in code:
        raise KeyError(code[code.index("${") :][:40])
    read: dict[str, Any] = yaml.safe_load(filled)
    return read


def variables(text: str) -> set[str]:
    """The variables that a compose file must be told."""
    return {found["name"] for found in _VARIABLE.finditer(text)}


class Stage(msgspec.Struct, frozen=True):
    """One `FROM ... AS name` and what follows it; inherited instructions come first."""

    name: str
    image: str
    """What it begins from: an image with its tag, or another stage's name."""
    instructions: tuple[tuple[str, str], ...]
    """Keyword and the rest, continued lines joined."""

    def last(self, keyword: str) -> str:
        """The instruction that counts, where the last one does; empty: there is none."""
        return next((rest for word, rest in reversed(self.instructions) if word == keyword), "")

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]

    def environment(self) -> dict[str, str]:
        """What its ENV instructions say, without the references to other variables."""
        words = [word for rest in self.all("ENV") for word in shlex.split(rest)]
        pairs = (word.partition("=") for word in words)
        return {name: value for name, _, value in pairs}

    def argv(self, keyword: str) -> list[str]:
        """A command in its JSON form; of HEALTHCHECK what stands behind CMD. None: empty."""
        rest = self.last(keyword)
        found: list[str] = json.loads(rest[rest.index("[") :]) if "[" in rest else []
        return found


def read_stages(text: str | None = None) -> dict[str, Stage]:
    """The stages of the Dockerfile by name, each with all that it inherits."""
    text = DOCKERFILE.read_text(encoding="utf-8") if text is None else text
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = _CONTINUED.sub(" ", "\n".join(lines))
    stages: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, joined.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            image, _, name = rest.partition(" AS ")
            above = stages[image].instructions if image in stages else ()
            stages[name] = Stage(name, image, above)
        else:
            stage = stages[next(reversed(stages))]
            instructions = (*stage.instructions, (keyword, rest.strip()))
            stages[stage.name] = msgspec.structs.replace(stage, instructions=instructions)
    return stages


def environment_of(service: Service, stages: Mapping[str, Stage]) -> dict[str, str]:
    """What a service's process is told: by its image, and over it by the compose file."""
    target = service.get("build", {}).get("target", "")
    image = stages[target].environment() if target else {}
    return image | dict(service.get("environment", {}))
