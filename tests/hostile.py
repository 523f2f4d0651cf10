"""Names and texts that try to be more than text, and a reader of what a report makes of them."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt

HOSTILE = (
    "`x` <img src=a onerror=alert(1)> **b** _i_ ~~s~~ [l](http://e) | c | $x^$ &lt; # -\n"
    "```\n# forged\n\x1b[2J\x1b]0;title\x07 \x9b31m \u202egnp.exe [red]r[/red] \\| '\""
    ""
)
"""Every medium has signs of its own in here."""
SECRET = "s3cret"
ADDRESS = f"https://user:{SECRET}@host/corpus?token={SECRET}&x-amz-signature={SECRET}"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> _Reader:
    """The tags and the text that a browser gets of Markdown with tables and raw HTML."""
    reader = _Reader()
    reader.feed(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    )
    return reader
