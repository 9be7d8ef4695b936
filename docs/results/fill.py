#!/usr/bin/env python3
"""Puts the tables and figures of a run into a page of results.

    python3 docs/results/fill.py docs/results/digits.md artifacts/path-action

What stands between `<!-- NAME -->` and `<!-- end -->` becomes the Markdown of the stage NAME of the kind `table`. Of the page
`digits.md`, `images/digits-steps.png` becomes the picture of the stage `steps-figure`. What the run does not have stays as it is.
"""

import pathlib
import re
import shutil
import sys
import textwrap


def table(run, name):
    """The table of a stage, its caption as short lines; none where the run has no such table."""
    path = run / name / "table.md"
    if not path.is_file():
        return None
    caption, rows = path.read_text().split("\n\n", 1)
    return "\n".join(textwrap.wrap(caption, 118)) + "\n\n" + rows.strip()


def main(page, run):
    page, run = pathlib.Path(page), pathlib.Path(run)

    def fill(found):
        new = table(run, found[1])
        return found[0] if new is None else f"<!-- {found[1]} -->\n\n{new}\n\n<!-- end -->"

    text = page.read_text()
    page.write_text(re.sub(r"<!-- (\S+) -->\n.*?<!-- end -->", fill, text, flags=re.S))
    for name in re.findall(rf"images/{page.stem}-(\S+)\.png", text):
        figure = run / f"{name}-figure" / "figure.png"
        if figure.is_file():
            shutil.copyfile(figure, page.parent / "images" / f"{page.stem}-{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
