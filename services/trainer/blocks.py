"""A page in pieces, which become Markdown for a forge and one HTML file that needs no other."""

import base64
import html
from collections.abc import Sequence
from typing import Final

import msgspec

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c1c1c;background:#fff}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}"
    "th,td{border-bottom:1px solid #ddd;padding:.25rem .7rem;text-align:left}"
    "code{background:#f3f3f3;padding:0 .2rem;overflow-wrap:anywhere}"
    "img{max-width:100%;height:auto}h2{margin-top:2.2rem}"
)


class Heading(msgspec.Struct, frozen=True):
    """Of a section; level 1 is the page's title."""

    level: int
    text: str


class Paragraph(msgspec.Struct, frozen=True):
    """Plain text; `between ticks` is code."""

    text: str


class Items(msgspec.Struct, frozen=True):
    """A list of points."""

    texts: Sequence[str]


class Table(msgspec.Struct, frozen=True):
    """Rows as long as the head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Figure(msgspec.Struct, frozen=True):
    """A PNG that lies beside the Markdown, and stands inside the HTML."""

    file: str
    caption: str
    data: bytes


type Block = Heading | Paragraph | Items | Table | Figure


def to_markdown(blocks: Sequence[Block]) -> str:
    """One page; figures by the names of their files."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block]) -> str:
    """One page with everything in it, and no script."""
    title = next((b.text for b in blocks if isinstance(b, Heading)), "")
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Items(texts):
            return "\n".join(f"- {text}" for text in texts)
        case Table(head, rows):
            lines = [head, ["---"] * len(head), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
        case Figure(file, caption, _):
            return f"![{caption}]({file})"


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Items(texts):
            return "<ul>" + "".join(f"<li>{_inline(text)}</li>" for text in texts) + "</ul>"
        case Table(head, rows):
            top = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
            lines = "".join(
                "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>\n"
                for row in rows
            )
            return f"<table><thead><tr>{top}</tr></thead><tbody>\n{lines}</tbody></table>"
        case Figure(_, caption, data):
            encoded = base64.b64encode(data).decode("ascii")
            source = f"data:image/png;base64,{encoded}"
            return f'<p><img alt="{_escaped(caption)}" src="{source}"></p>'


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _inline(text: str) -> str:
    parts = text.split("`")
    marked = [
        f"<code>{_escaped(part)}</code>" if place % 2 else _escaped(part)
        for place, part in enumerate(parts)
    ]
    return "".join(marked)


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
