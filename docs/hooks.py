"""The site's own pages, and its links to files of the repository.

A hook of mkdocs: the documents are written to be read in the repository, where `../train` is a
folder.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
MODULES = (
    "model.pretrained",
    "model.config",
    "model.tasks",
    "model.student",
    "data.open",
    "train.config",
    "train.distill",
    "train.pretrain",
    "train.finetune",
    "train.objectives.losses",
    "train.objectives.terms",
    "train.update.step",
    "train.update.parallel",
    "eval.predict",
)


def on_files(files: Files, config: Any) -> Files:
    """Adds the README as the first page, and a page of modules from their docstrings."""
    readme = re.sub(r"\]\((?!https?:|#)", "](../", (ROOT / "README.md").read_text("utf-8"))
    modules = "# Modules\n\n" + "\n\n".join(f"::: {name}" for name in MODULES) + "\n"
    for name, content in (("index.md", readme), ("modules.md", modules)):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links to what is not in docs/ into links to the repository."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def link(found: re.Match) -> str:
        path, _, anchor = found[1].partition("#")
        target = posixpath.normpath(posixpath.join(folder, path))
        own = target.removeprefix("docs/")
        if target.startswith("docs/") and files.get_file_from_path(own) is not None:
            return f"]({posixpath.relpath(target, folder)}{'#' * bool(anchor)}{anchor})"
        return f"]({config.repo_url}/blob/main/{target})"

    return re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", link, markdown)
