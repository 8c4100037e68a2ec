import json
from pathlib import Path

import pytest

from services.gateway.asyncapi import describe_messages
from services.gateway.sockets import CHANNELS
from services.wire.diagram import draw_flow
from services.wire.topics import TOPICS
from tests.support.references import dangling
from tests.tidy.generated import FILES, names_in, regenerate
from tests.tidy.tree import ROOT, sources_with

PAGE = "# A page\n\n<!-- generated: flow -->\nold\n<!-- /generated -->\n\nAfter it.\n"


def test_generated_parts_of_pages_are_up_to_date() -> None:
    stale = [str(page.path) for page in sources_with(".md") if regenerate(page.text) != page.text]
    assert not stale, f"run `make docs`: {', '.join(stale)} no longer show what the code says"


@pytest.mark.parametrize("path", FILES)
def test_a_generated_file_is_up_to_date(path: str) -> None:
    is_fresh = Path(ROOT, path).read_text(encoding="utf-8") == FILES[path]()
    assert is_fresh, f"run `make docs`: {path} no longer says what the code does"


@pytest.mark.parametrize("path", [path for path in FILES if path.endswith("api.json")])
def test_a_generated_file_refers_to_nothing_that_is_not_there(path: str) -> None:
    document = json.loads(FILES[path]())
    assert not dangling(document)
    schemas = document["components"]["schemas"]
    assert dangling({**document, "components": {"schemas": {}}}), "a planted gap is not found"
    assert schemas


def test_asyncapi_has_every_topic_every_record_and_every_channel() -> None:
    document = describe_messages()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {"/ws", *(topic.name for topic in TOPICS)}
    for topic in TOPICS:
        channel = document["channels"][topic.name.replace(".", "-")]
        assert set(channel["messages"]) == set(topic.records)
    for name in CHANNELS:
        assert f"{name}-update" in document["channels"]["socket"]["messages"]


def test_the_readme_shows_the_flow_between_rooms() -> None:
    readme = [page for page in sources_with(".md") if str(page.path) == "README.md"]
    assert readme
    assert "flow" in names_in(readme[0].text)


def test_a_stale_part_is_made_anew_and_the_rest_is_kept() -> None:
    fresh = regenerate(PAGE)
    assert fresh != PAGE
    assert draw_flow() in fresh
    assert fresh.startswith("# A page\n\n<!-- generated: flow -->\n")
    assert fresh.endswith("\n<!-- /generated -->\n\nAfter it.\n")
    assert regenerate(fresh) == fresh


def test_a_part_that_nothing_makes_is_refused() -> None:
    with pytest.raises(LookupError, match="no generated part is named 'nothing'"):
        regenerate(PAGE.replace("flow", "nothing"))


def test_the_flow_has_an_edge_for_each_writer_and_reader_of_each_topic() -> None:
    drawn = draw_flow().splitlines()
    for topic in TOPICS:
        pipe = f"t_{topic.name.replace('.', '_')}"
        into = [line.strip() for line in drawn if line.endswith(f"--> {pipe}")]
        out_of = [line.strip() for line in drawn if line.strip().startswith(f"{pipe} -->")]
        assert into == [f"{' & '.join(topic.writers)} --> {pipe}"]
        assert out_of == [f"{pipe} --> {' & '.join(topic.readers)}"]


def test_a_changed_table_draws_a_changed_flow() -> None:
    assert draw_flow(TOPICS[1:]) != draw_flow(TOPICS)
