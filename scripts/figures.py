"""Write docs/figures.md: what the shipped model and rules reach and cost, each figure by the command that prints it.

python scripts/figures.py        # make figures
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

from svcnorm.bundle import open_bundle
from svcnorm.labels import LABELS
from svcnorm.report import percent

ROOT = Path(__file__).parents[1]


def printed(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    return f"`python {' '.join(command)}`\n\n```\n{done.stdout.strip()}\n```\n"


def gold() -> str:
    bundle = open_bundle()
    found = json.loads((bundle.path / "evaluation.json").read_text(encoding="utf-8"))
    lines = [f"Written by `python -m training` (stage evaluate) for `{bundle.id}`; F1 in percent. data/gold trained, tuned and chose nothing.", "",
             "| part | sentences | " + " | ".join(f"{way}: micro | macro" for way in found) + " |", "|---|---|" + "---|---|" * len(found)]  # fmt: skip
    for part, e in found["both"].items():
        lines.append(
            f"| {part} | {e['sentences']} | "
            + " | ".join(f"{percent(w[part]['micro_f1'])} | {percent(w[part]['macro_f1'])}" for w in found.values())
            + " |"
        )
    lines += ["", "| label | 中文 | support | " + " | ".join(found) + " |", "|---|---|---|" + "---|" * len(found)]
    for label in LABELS:
        cells = [w["gold"]["labels"][label.name] for w in found.values()]
        lines.append(f"| {label.name} | {label.zh} | {cells[0]['support']} | " + " | ".join(percent(c["f1"]) for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    parts = [
        "# Figures", f"\nWritten by `make figures`; nothing here is typed in. Python {platform.python_version()}, {cpu}.\n",
        "## Held-out sentences: rules, model, both\n", gold(),
        "## Phrases of the service-norm documents\n", printed("scripts/norm_phrases.py"),
        "## Coverage of the catalogue by the norms\n", printed("scripts/norm_coverage.py"),
        "## Agreement of annotators\n", printed("scripts/agreement.py"),
        "## Cost\n", printed("scripts/measure.py"),
    ]  # fmt: skip
    (ROOT / "docs" / "figures.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
