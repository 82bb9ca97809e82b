"""What pages of the site have outside docs/: images are taken in, of links to other files the text is kept.

Either has to be there: what leads to nothing is a warning, and so an error of the build.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

log = logging.getLogger("mkdocs.outside_links")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((\.\.?/[^)\s#]*)(#[^)\s]*)?\)")
TAKEN_IN = "outside"


def on_files(files: Any, config: Any) -> Any:
    """The site's files, with the images outside docs/ that its pages show."""
    docs = Path(config["docs_dir"])
    for page in list(files.documentation_pages()):
        for image, _, link, _ in LINK.findall(Path(page.abs_src_path).read_text(encoding="utf-8")):
            target = (Path(page.abs_src_path).parent / link).resolve()
            name = f"{TAKEN_IN}/{_in_repository(target, docs)}"
            if image and not target.is_relative_to(docs) and target.is_file() and name not in files.src_uris:
                files.append(File.generated(config, name, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """A page whose links lead nowhere but into the site."""
    docs, here = Path(config["docs_dir"]), Path(page.file.abs_src_path).parent

    def told(link: re.Match[str]) -> str:
        image, text, path, anchor = link.groups()
        target = (here / path).resolve()
        if target.is_relative_to(docs) and target.suffix != "":
            return link[0]
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_path, path)
        if image:
            up = "../" * (len(here.relative_to(docs).parts))
            return f"![{text}]({up}{TAKEN_IN}/{_in_repository(target, docs)})"
        base = config["repo_url"]
        where = f"{str(base).rstrip('/')}/blob/main/{_in_repository(target, docs)}{anchor or ''}"
        return f"[{text}]({where})" if base else text

    return LINK.sub(told, markdown)


def _in_repository(target: Path, docs: Path) -> str:
    """A path from the root of the repository."""
    return target.relative_to(docs.parent).as_posix() if target.is_relative_to(docs.parent) else target.name
