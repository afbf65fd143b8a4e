"""Writes the page's translations: new texts into each .po file, and the .mo files that the page reads.

``python tools/write_catalogues.py`` after a text of the page changed; then translate what is empty in
``edgeflow/web/locale/*/LC_MESSAGES/page.po`` and run it again. ``--check`` only says if something is missing.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).resolve().parent.parent / "edgeflow/web"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]


def template() -> Catalog:
    """Every text of the page, in the order of files."""
    catalog = Catalog(project="edgeflow", charset="utf-8")
    for _, _, message, comments, _ in extract_from_dir(
        str(WEB), METHODS, keywords={"_": None, "gettext": None}
    ):
        catalog.add(message, auto_comments=comments)
    return catalog


def problems() -> list[str]:
    """Texts without a translation, and catalogues that are not as this program writes them."""
    found: list[str] = []
    wanted = {message.id for message in template() if message.id}
    for path in sorted(WEB.glob("locale/*/LC_MESSAGES/page.po")):
        with path.open("rb") as file:
            catalog = read_po(file)
        translated = {message.id for message in catalog if message.id and message.string}
        found += [f"{path}: not translated: {text}" for text in sorted(wanted - translated)]
        found += [f"{path}: not used any more: {text}" for text in sorted(translated - wanted)]
        if path.with_suffix(".mo").read_bytes() != _compiled(catalog):
            found.append(
                f"{path.with_suffix('.mo')}: is not what its .po file says; run {Path(__file__).name}"
            )
    return found


def write() -> None:
    """Bring every catalogue up to date."""
    texts = template()
    for path in WEB.glob("locale/*/LC_MESSAGES/page.po"):
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.parent.parent.name)
        catalog.update(texts, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = "edgeflow"
        with path.open("wb") as file:
            write_po(file, catalog, omit_header=False, no_location=True, width=0)
        path.with_suffix(".mo").write_bytes(_compiled(catalog))


def _compiled(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


if __name__ == "__main__":
    if "--check" not in sys.argv:
        write()
    print("\n".join(problems()))
    sys.exit(1 if problems() else 0)
