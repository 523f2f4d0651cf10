"""A page to explore attention maps with: it works from the disk, in any browser."""

import io
from collections.abc import Sequence
from textwrap import shorten

import numpy as np
from jaxtyping import Float32

from eval.attend.maps import AttentionMaps
from eval.attend.ramp import colours
from report.page import page, png_in_html, text_in_html

_STYLE = """
main { display: flex; flex-wrap: wrap; gap: 3rem; align-items: flex-start; }
.grid { display: grid; gap: 6px; align-items: center; justify-content: start; }
.grid span { font-size: 11px; color: var(--grey); text-align: center; white-space: nowrap; }
.grid button { padding: 0; border: 1px solid #ccc; background: none; line-height: 0;
  cursor: pointer; }
.grid button:hover { border-color: var(--ink); }
.grid button[aria-pressed=true] { outline: 3px solid #D55E00; }
.grid img { width: 56px; height: 56px; image-rendering: pixelated; }
canvas { display: block; margin-top: .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0; }
.note { min-height: 1.5em; display: block; color: var(--grey); }
.words { max-width: 46rem; line-height: 2; }
.words .token { padding: .15em .3em; border-radius: 3px; cursor: default; }
.words .token.from { outline: 2px solid #D55E00; }
"""

_SCRIPT = """
for (const section of document.querySelectorAll("section")) {
  const canvas = section.querySelector("canvas"), pen = canvas.getContext("2d");
  const note = section.querySelector(".note"), heading = section.querySelector("h3");
  const words = [...section.querySelectorAll(".words .token")];
  const tokens = words.map(word => word.textContent), n = tokens.length;
  let levels = null, cell = 1, margin = 0;  // of the chosen map, in which red says how much

  const share = (from, to) => ((255 - levels[4 * (from * n + to)]) / 255) ** 2;
  const percent = p => p < 0.0995 ? (100 * p).toFixed(1) + " %" : Math.round(100 * p) + " %";

  async function choose(button) {
    for (const other of section.querySelectorAll("button"))
      other.setAttribute("aria-pressed", other === button);
    const image = button.firstElementChild;
    await image.decode();
    heading.textContent = image.alt;
    const small = document.createElement("canvas");
    small.width = small.height = n;
    const copy = small.getContext("2d");
    copy.drawImage(image, 0, 0);
    levels = copy.getImageData(0, 0, n, n).data;
    cell = Math.max(2, Math.min(26, Math.floor(560 / n)));
    const named = cell >= 9;
    pen.font = "12px ui-monospace, monospace";
    margin = named ? 10 + Math.max(...tokens.map(token => pen.measureText(token).width)) : 4;
    canvas.width = canvas.height = margin + n * cell + 1;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, margin, margin, n * cell, n * cell);
    pen.strokeStyle = "#ccc";
    pen.strokeRect(margin - .5, margin - .5, n * cell + 1, n * cell + 1);
    pen.font = Math.min(12, cell) + "px ui-monospace, monospace";
    pen.fillStyle = "#333";
    pen.textBaseline = "middle";
    if (named) tokens.forEach((token, place) => {
      const middle = margin + (place + .5) * cell;
      pen.textAlign = "right";
      pen.fillText(token, margin - 6, middle);
      pen.save();
      pen.translate(middle, margin - 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(token, 0, 0);
      pen.restore();
    });
    light(0);
  }

  function light(from) {  // the words, by the attention of one of them
    words.forEach((word, to) => {
      const level = Math.sqrt(share(from, to));
      word.style.background = `rgba(0, 60, 120, ${level})`;
      word.style.color = level > .6 ? "white" : "";
      word.title = percent(share(from, to));
      word.classList.toggle("from", to === from);
    });
  }

  canvas.addEventListener("mousemove", event => {
    if (!levels) return;
    const [to, from] = [event.offsetX, event.offsetY].map(at => Math.floor((at - margin) / cell));
    const inside = from >= 0 && from < n && to >= 0 && to < n;
    note.textContent = inside
      ? `“${tokens[from]}” gives “${tokens[to]}” ${percent(share(from, to))} of its attention` : "";
    if (inside) light(from);
  });
  words.forEach((word, from) => word.addEventListener("mouseenter", () => levels && light(from)));
  for (const button of section.querySelectorAll("button"))
    button.addEventListener("click", () => choose(button));
  choose(section.querySelector("button"));
}
"""

_HOW_TO_READ = (
    "Each small map is a head: its rows are the tokens that attend, its columns those attended to, "
    "and darker is more (the square root of the share, so that little is seen too). Choose a map "
    "to enlarge it; point at it, or at a word below it, to see where that word's attention goes."
)


def attention_page(text: str, models: Sequence[AttentionMaps]) -> str:
    """The HTML: a grid of maps for each model, and its chosen one enlarged."""
    title = shorten(f"Attention: {text}", 100, placeholder=" …")
    body = f"<p>{_HOW_TO_READ}</p>\n<main>\n{''.join(map(_section, models))}</main>"
    return page(title, body, style=_STYLE, script=_SCRIPT)


def _section(model: AttentionMaps) -> str:
    layers, heads = model.maps.shape[:2]
    cells = ["<span></span>", *(f"<span>head {head}</span>" for head in range(heads))]
    for layer in range(layers):
        cells.append(f"<span>layer {layer}</span>")
        for head in range(heads):
            source = png_in_html(_png(model.maps[layer, head]))
            name = f"layer {layer}, head {head}"
            cells.append(
                f'<button aria-pressed="false" title="{name}"><img alt="{name}" src="{source}">'
                "</button>"
            )
    words = " ".join(f'<span class="token">{text_in_html(token)}</span>' for token in model.tokens)
    return (
        f"<section>\n<h2>{text_in_html(model.name)}</h2>\n"
        f'<div class="grid" style="grid-template-columns: auto repeat({heads}, max-content)">\n'
        + "\n".join(cells)
        + '\n</div>\n<h3></h3>\n<canvas width="0" height="0"></canvas>\n'
        f'<span class="note"></span>\n<p class="words">{words}</p>\n</section>\n'
    )


def _png(probabilities: Float32[np.ndarray, "length length"]) -> bytes:
    from matplotlib.image import imsave  # matplotlib takes a second to import

    content = io.BytesIO()
    imsave(content, colours(probabilities), format="png")
    return content.getvalue()
