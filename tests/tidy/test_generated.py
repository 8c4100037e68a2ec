import pytest

from services.wire.diagram import draw_flow
from services.wire.topics import TOPICS
from tests.tidy.generated import names_in, regenerate
from tests.tidy.tree import sources_with

PAGE = "# A page\n\n<!-- generated: flow -->\nold\n<!-- /generated -->\n\nAfter it.\n"


def test_generated_parts_of_pages_are_up_to_date() -> None:
    stale = [str(page.path) for page in sources_with(".md") if regenerate(page.text) != page.text]
    assert not stale, f"run `make docs`: {', '.join(stale)} no longer show what the code says"


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
