"""A page of HTML in one file: no server, no network, nothing beside it."""

import base64
import html
from collections.abc import Sequence

from data.storage.credentials import without_credentials
from model.terminal import visible

_STYLE = """
:root { color-scheme: light; --ink: #333; --grey: #808080; --line: #e6e6e6; }
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 110rem; color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom-color: var(--grey); }
code, .token { font-family: ui-monospace, monospace; font-size: .9em; }
img { max-width: 100%; } .wide { overflow-x: auto; }
"""


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """The whole file.

    Args:
        title: text.
        body: HTML; text in it went through `text_in_html`.
        style: CSS beside that of all pages.
        script: JavaScript that runs when the body is there.
    """
    head = (
        f'<meta charset="utf-8"><title>{text_in_html(title)}</title><style>{_STYLE}{style}</style>'
    )
    body = f"<h1>{text_in_html(title)}</h1>\n{body}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n'
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def text_in_html(text: str) -> str:
    """A text as it is, also inside quotes of an attribute; what looks like a credential is not."""
    return html.escape(visible(without_credentials(text)))


def png_in_html(content: bytes) -> str:
    """The address of a picture that is in the page itself."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def table_in_html(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of texts as they are; it scrolls for itself where it is wider than the page."""

    def row(cells: Sequence[str], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{text_in_html(c)}</{kind}>" for c in cells) + "</tr>"

    body = "\n".join(row(line, "td") for line in lines)
    head = f"<thead>{row(header, 'th')}</thead>"
    return f'<div class="wide"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>'
