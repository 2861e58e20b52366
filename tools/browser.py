"""Look at the pages of a folder in Chromium: nothing is fetched, nothing is said on the console, nothing overflows, text can be read.

Leaves a picture of each page at each width in light and dark, and a PDF of A4 pages.
"""

from __future__ import annotations

import pathlib
import sys

from playwright.sync_api import sync_playwright

WIDTHS = (1280, 400)
# What a person could not read: text wider than the page, and contrast below 4.5 (WCAG 2.1, 1.4.3).
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONTRAST = """() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const behind = node => { for (let n = node; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  let worst = 21, where = '';
  for (const node of document.querySelectorAll('h1,h2,h3,p,td,th,span,b,a,.tile')) {
    if (!node.textContent.trim() || !node.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst) { worst = ratio; where = node.outerHTML.slice(0, 80); }
  }
  return [worst, where];
}"""
SMALLEST = "() => Math.min(...[...document.querySelectorAll('td,th,p,span')].map(n => parseFloat(getComputedStyle(n).fontSize)))"


def look_at(browser, page_file: pathlib.Path) -> list[str]:
    """What is wrong with a page."""
    faults = []
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            where = f"{page_file.name}, {width} px, {scheme}"
            # Scripts are allowed here, so that one that got into the page would be seen.
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.on("console", lambda message, where=where: faults.append(f"{where}: console: {message.text}"))
            page.on("pageerror", lambda error, where=where: faults.append(f"{where}: error: {error}"))
            page.on("request", lambda request, where=where: None if request.url.startswith("file:") else faults.append(f"{where}: asks for {request.url}"))
            page.goto(page_file.absolute().as_uri())
            if page.title() == "taken":
                faults.append(f"{where}: a name ran as a script")
            overflow = page.evaluate(OVERFLOW)
            if overflow > 0:
                faults.append(f"{where}: {overflow} px wider than the screen")
            worst, at = page.evaluate(CONTRAST)
            if worst < 4.5:
                faults.append(f"{where}: contrast {worst:.1f} at {at}")
            if page.evaluate(SMALLEST) < 11:
                faults.append(f"{where}: text smaller than 11 px")
            page.screenshot(path=str(page_file.with_name(f"{page_file.stem}-{width}-{scheme}.png")))
            if width == WIDTHS[0] and scheme == "light":
                page.pdf(path=str(page_file.with_suffix(".pdf")), format="A4", prefer_css_page_size=True)
            context.close()
    return faults


def main() -> int:
    """Look at all pages."""
    pages = sorted(pathlib.Path(sys.argv[1]).glob("*.html"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        faults = [fault for page in pages for fault in look_at(browser, page)]
        browser.close()
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(pages)} pages at {WIDTHS} px in light and dark, pictures and PDFs in {sys.argv[1]}: {len(faults)} faults")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
