"""Build the documentation site: ``python tools/docsite.py [FOLDER]`` (default ``site``); any warning is a failure.

The Markdown pages of the repository are the one source: they are laid out as they are in the checkout, so that their links hold, and
MyST reads them. antsibull-docs writes the reference of modules and roles beside them. What binds them together is in docs/docsite.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
DOCSITE = TOP / "docs" / "docsite"
COLLECTION = "dbre.rds_encryption"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/*.svg", "extensions/lab/*.md")


def lay_out(sources: pathlib.Path) -> None:
    """All sources of the site in that folder, which is made anew."""
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    shutil.copy(DOCSITE / "index.md", sources)
    for pattern in PAGES:
        for page in TOP.glob(pattern):
            goal = sources / page.relative_to(TOP)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, goal)
    # antsibull-docs wants a folder that nobody else may write to.
    reference = sources / "reference"
    reference.mkdir(mode=0o755)
    run("antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", reference, COLLECTION)


def run(*command) -> None:
    subprocess.run([str(part) for part in command], cwd=TOP, check=True)


def main(folder: str = "site") -> None:
    built = pathlib.Path(folder).resolve()
    sources = TOP / ".cache" / "site"
    lay_out(sources)
    shutil.rmtree(built, ignore_errors=True)
    run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "-c", DOCSITE, "-d", TOP / ".cache" / "site-doctrees", sources, built)
    print(f"{built / 'index.html'}: {sum(1 for _page in built.rglob('*.html'))} pages")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except subprocess.CalledProcessError as e:
        sys.exit(f"the site was not built: {e.cmd[0]} ended with {e.returncode}")
