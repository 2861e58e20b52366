#!/bin/sh
# browser.sh: the report in a real browser; fetches Chromium (apt) and Playwright (pip, in .cache/browser) the first time.
# Not among the checks of CI: Chromium alone is 300 MB. tests/unit/.../test_report.py judges the same page without one.
set -eu
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || { apt-get update -qq; apt-get install -y -qq --no-install-recommends chromium; }
if [ ! -x .cache/browser/bin/python ]; then
  python3 -m venv .cache/browser
  .cache/browser/bin/python -m pip -q install playwright==1.65.2
fi
mkdir -p .cache/pages
PYTHONPATH=tests/unit python tools/report_pages.py .cache/pages
exec .cache/browser/bin/python tools/browser.py .cache/pages
