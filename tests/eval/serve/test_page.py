"""The page in a browser: what the model says, as pictures.

Needs playwright and Chromium, which is Debian's package `chromium`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from eval.serve.app import make_app
from eval.serve.query import RequestLimits
from eval.serve.start import about_model, open_abilities
from model.hf.checkpoint import open_checkpoint
from tests.eval.serve.served import served_app

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium"),
]
LIMITS = RequestLimits(body=100_000, texts=64, characters=200, seconds=10.0)


@contextmanager
def served(folder) -> Iterator[str]:
    """The address of a server in a thread."""
    checkpoint = open_checkpoint(str(folder))
    app = make_app(open_abilities(checkpoint), about_model(checkpoint), LIMITS, 64)
    with served_app(app) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, address: str) -> Iterator[Any]:
    """The page; nothing went wrong in it, and it asked nobody but the server."""
    page = browser.new_page()
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else 0)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("button.ask")
    yield page
    page.close()
    # A refused request is an error for the console, whatever the page makes of it.
    assert [each for each in wrong if "the server responded with a status of 4" not in each] == []
    assert all(url.startswith((address, "data:")) for url in asked)


def ask(page, text: str, **fields: str) -> str:
    """What is shown for a text."""
    page.fill("textarea[name=texts]", text)
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    page.evaluate("document.getElementById('result').hidden = true")
    page.click("button.ask")
    page.wait_for_selector("#result:not([hidden])")
    return page.inner_text("#result")


def test_classes_as_bars_and_mistakes_as_a_sentence(folder, browser):
    with served(folder("classes")) as address, opened(browser, address) as page:
        assert page.inner_text("h1").endswith("/classes")
        shown = ask(page, "the cat <b>sees</b> a tree")
        assert {"bad", "fair", "good"} <= {*shown.split()}
        widths = page.eval_on_selector_all(".rail i", "all => all.map(e => e.offsetWidth)")
        assert len(widths) == 3 and widths == sorted(widths, reverse=True) and widths[0] > 0
        assert "text 1 is empty: give a text" in ask(page, " ")
        assert '"top" is a text: give a whole number' in ask(page, "a", top="x")
        assert "top is 0: give a number from 1" in ask(page, "a", top="0")
        assert "text 1 has 201 characters" in ask(page, "a" * 201, top="")


def test_entities_are_marked_where_they_are(folder, browser):
    """Also behind characters that JavaScript counts twice."""
    text = "\U0001f600 the cat sees a <i>tree"
    with served(folder("tags")) as address, opened(browser, address) as page:
        ask(page, text)
        found = page.evaluate(
            "async text => (await (await fetch('/predict', {method: 'POST', body: "
            "JSON.stringify({texts: [text]})})).json()).results[0].entities",
            text,
        )
        marks = page.eval_on_selector_all("mark", "all => all.map(e => e.firstChild.textContent)")
        assert found and marks == [entity["text"] for entity in found]
        page.eval_on_selector_all("mark small", "all => all.forEach(e => e.remove())")
        assert page.text_content(".text") == text


def test_masks_and_answers(folder, browser):
    with served(folder("masks")) as address, opened(browser, address) as page:
        shown = ask(page, "the [MASK] sees a [MASK]", top="3")
        assert shown.count(" %") == 6 and page.locator("mark").count() == 2
        assert "has no [MASK] to fill in" in ask(page, "the cat")
    with served(folder("answers")) as address, opened(browser, address) as page:
        ask(page, "the old cat sees a red bird", question="what?")
        assert page.inner_text("mark") in "the old cat sees a red bird"
        assert '"question" is missing' in ask(page, "the cat", question="")


def test_neighbours_on_a_plane(folder, browser):
    with served(folder("embedder")) as address, opened(browser, address) as page:
        ask(page, "the cat\na cat\nthe red tree\n\nnot a bird")
        assert page.locator("circle").count() == 4
        page.locator("circle").nth(2).click(force=True)
        assert page.locator("h2").nth(1).inner_text() == "Nearest to 3: the red tree"
        cosines = [float(each) for each in page.locator(".number").all_inner_texts()]
        assert len(cosines) == 3 and cosines == sorted(cosines, reverse=True)
        assert "A vector of 16 numbers" in ask(page, "the cat")


def test_attention_of_layers_and_heads(folder, browser):
    with served(folder("embedder")) as address, opened(browser, address) as page:
        page.get_by_role("tab", name="Attention").click()
        ask(page, "the cat sees")
        assert page.locator("rect").count() == 25 and page.locator("canvas").count() == 3
        rows = page.eval_on_selector_all("rect title", "all => all.map(e => e.textContent)")
        assert rows[5].startswith("the attends to [CLS]: ")
        shares = [float(row.split(": ")[1].rstrip(" %")) for row in rows]
        assert sum(shares[:5]) == pytest.approx(100, abs=0.3)
        page.get_by_role("button", name="head 1").click()
        assert page.eval_on_selector_all("rect title", "all => all[5].textContent") != rows[5]
        page.fill("input[type=range]", "1")
        page.wait_for_selector(".row b:text-is('1')")
