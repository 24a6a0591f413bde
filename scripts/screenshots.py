"""Pictures of the shipped model's report on data/gold, on a desk and on a phone: docs/report-wide.png and docs/report-phone.png.

python -m scripts.screenshots        # make screenshots; needs Chromium (Debian: apt-get install chromium fonts-noto-cjk)
"""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from svcnorm.classifier import Classifier
from svcnorm.report import write_evaluation
from training.prepare import read_folder
from training.stage import fingerprint

ROOT = Path(__file__).parents[1]
WIDTHS, HEIGHT = {"wide": 1000, "phone": 390}, 1150


def main() -> None:
    gold, out = ROOT / "data" / "gold", ROOT / "build" / "report"
    origin = {"path": "data/gold", "sha256": fingerprint(None, [gold]), "skipped": 0}
    write_evaluation(out, read_folder(gold), Classifier.load(), origin=origin)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": HEIGHT})
            page.goto((out / "report.html").as_uri())
            page.screenshot(path=ROOT / "docs" / f"report-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
