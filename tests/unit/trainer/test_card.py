"""A card says what is in the manifest, and its page needs no other file."""

import re
from html.parser import HTMLParser
from typing import Final

import pytest

from services.trainer.blocks import (
    Block,
    Figure,
    Heading,
    Items,
    Paragraph,
    Table,
    to_html,
    to_markdown,
)
from services.trainer.dataset import DatasetPlan, dataset_of_table
from services.trainer.service import Trained, TrainingPlan, train_on
from tests.support.hidden_signal import moved_market

PLAN: Final = DatasetPlan("microstructure_v1")
PNG: Final = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    dataset = dataset_of_table(moved_market(3_400), PLAN)
    plan = TrainingPlan(PLAN, "logistic", 1, 1)
    return train_on(dataset, None, tmp_path_factory.mktemp("models"), plan)


def sections(card: str) -> list[str]:
    return re.findall(r"^## (.+)$", card, re.MULTILINE)


def test_a_card_has_each_section_that_a_reader_looks_for(trained: Trained) -> None:
    card = (trained.folder / "card.md").read_text()
    assert sections(card) == [
        "Data", "Metrics", "Confusion", "Calibration", "Importance", "By ticker", "By time",
        "Limits of use",
    ]  # fmt: skip


def test_a_card_states_the_manifests_figures_beside_all_baselines(trained: Trained) -> None:
    card = (trained.folder / "card.md").read_text()
    manifest = trained.manifest
    for metrics in (manifest.metrics, *(b.metrics for b in manifest.baselines)):
        found = metrics.macro_f1
        assert f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]" in card
    assert manifest.data.sha256 in card
    assert manifest.fingerprint in card
    assert trained.verdict.why in card
    for baseline in manifest.baselines:
        assert f"| {baseline.name} |" in card


def test_every_picture_of_the_card_lies_beside_it(trained: Trained) -> None:
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (trained.folder / "card.md").read_text())
    assert len(names) == 4
    for name in names:
        assert (trained.folder / name).read_bytes().startswith(PNG)


def test_the_page_needs_no_other_file(trained: Trained) -> None:
    class Sources(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.tags: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            self.found += [value or "" for name, value in attrs if name in {"src", "href"}]

    page = Sources()
    page.feed((trained.folder / "card.html").read_text())
    assert len(page.found) == 4
    assert all(source.startswith("data:image/png;base64,") for source in page.found)
    assert not {"script", "link", "iframe"} & page.tags


def test_a_card_says_what_could_not_be_checked(trained: Trained) -> None:
    card = (trained.folder / "card.md").read_text()
    assert "Not everything could be checked for leaks: truncation." in card


def test_a_page_takes_nothing_from_its_text_for_markup() -> None:
    blocks: list[Block] = [
        Heading(1, "a <b>"),
        Paragraph("`x<y>` & z"),
        Items(["<i>"]),
        Table(("a|b",), [("<td>",)]),
        Figure("p.png", 'say "this"', PNG),
    ]
    page, text = to_html(blocks), to_markdown(blocks)
    assert not {"<b>", "<i>", "<y>"} & set(re.findall(r"<\w+>", page))
    assert "<code>x&lt;y&gt;</code> &amp; z" in page
    assert 'alt="say &quot;this&quot;"' in page
    assert "| a\\|b |" in text
    assert '![say "this"](p.png)' in text
