"""Write the dataset card data/README.md and the page of plots docs/data.html.

    python -m scripts.data_report        # make data-report

The figures of real speech that the calls are held against are shares of agent turns in three real sources (raw ASR of telecom calls, ASR with
punctuation of collection calls, typed retail chat), measured once; they stand in REAL below. Collection calls are a sample rich in trouble.
"""

from __future__ import annotations

import html
import itertools
import re
from collections import Counter
from functools import cache
from pathlib import Path

from scripts.agreement import alone, alpha, annotations, kappa
from svcnorm.classifier import Classifier
from svcnorm.examples import Example, read_examples, read_rows
from svcnorm.labels import LABELS, NAMES, find
from svcnorm.norms import Norm

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
PARTS = ("train", "gold")

# figure -> (asr, punct, chat), and how far the corpus may lie from it: characters for lengths, percentage points for shares
REAL = {
    "length, 10th percentile": ((3, 7, 7), 3),
    "length, median": ((17, 25, 20), 6),
    "length, 90th percentile": ((62, 71, 61), 15),
    "four characters or fewer, %": ((13, 3, 6), 5),
    "no punctuation, %": ((67, 0, 42), 8),
    "pause mark `_`, %": ((30, 0, 0), 6),
    "filler 嗯呃啊哦唉哎, %": ((31, 28, 26), 8),
    "那个/就是/然后/这个/的话, %": ((31, 53, 11), 8),
    "says 您, %": ((56, 18, 71), 12),
    "says 你, %": ((13, 58, 1), 12),
    "something repeated at once, %": ((9, 32, 24), 12),
    "two or more labels, %": ((43, 28, 45), 10),
}
MIX_DISTANCE = 12  # percentage points that a label's share may lie from that of REAL_LABELS
LOOKS = ("asr", "punct", "chat")
REAL_LABELS = {
    "asr": {"explanation": 43, "acknowledgement": 32, "greeting": 15, "offer_help": 11, "inquiry": 8, "commitment": 8, "hold": 7, "confirmation": 6, "request": 5, "courtesy_reply": 5, "consultation": 4, "gratitude": 3, "referral": 2},
    "punct": {"explanation": 26, "rudeness": 21, "interrogation": 11, "inquiry": 10, "acknowledgement": 6, "impatience": 6, "consultation": 5, "apology": 5, "commitment": 5, "confirmation": 5, "contradiction": 4, "command": 4},
    "chat": {"explanation": 41, "offer_help": 20, "acknowledgement": 14, "confirmation": 11, "greeting": 11, "hold": 10, "courtesy_reply": 9, "inquiry": 9, "request": 7, "apology": 5, "commitment": 5, "gratitude": 4, "farewell": 3, "consultation": 3},
}  # fmt: skip


@cache
def sentences(part: str) -> list[Example]:
    return [e for path in sorted((DATA / part).glob("*.jsonl")) for e in read_examples(path)]


def calls(part: str) -> dict[str, list[dict]]:
    """call id -> its turns, both roles."""
    found: dict[str, list[dict]] = {}
    for path in sorted((DATA / part).glob("*.jsonl")):
        for _, row in read_rows(path):
            if "call_id" in row:
                found.setdefault(row["call_id"], []).append(row)
    return found


def figures(examples: list[Example]) -> dict[str, float]:
    """The figures of REAL for these sentences."""
    texts = [e.text for e in examples]
    lengths = sorted(map(len, texts))

    def percentile(share: float) -> int:
        return lengths[min(len(lengths) - 1, int(share * len(lengths)))]

    def share(pattern: str, *, absent: bool = False) -> float:
        return 100 * sum(bool(re.search(pattern, t)) != absent for t in texts) / len(texts)

    return dict(
        zip(
            REAL,
            (
                percentile(0.1), percentile(0.5), percentile(0.9), 100 * sum(n <= 4 for n in lengths) / len(lengths),
                share("[，。！？,.!?；;、~～]", absent=True), share("_"), share("[嗯呃啊哦唉哎]"), share("那个|就是|然后|这个|的话"), share("您"), share("你"),
                share(r"([\u4e00-\u9fff]{1,4})[，,_ ]?\1"), 100 * sum(len(e.labels) > 1 for e in examples) / len(examples),
            ),
            strict=True,
        )
    )  # fmt: skip


def table(header: list[str], rows: list[list]) -> str:
    def cell(x: object) -> str:
        return f"{x:.1f}" if isinstance(x, float) else str(x)

    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)]) + "\n"


def by_look(part: str) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {look: [] for look in LOOKS}
    for e in sentences(part):
        if "look" in e.fields:
            found[e.fields["look"]].append(e)
    return found


def real_speech_rows() -> list[list]:
    looks = by_look("train")
    ours = {look: figures(looks[look]) for look in LOOKS}
    rows = []
    for name, (real, distance) in REAL.items():
        cells = [
            f"{ours[look][name]:.0f} / {real[i]}" + ("" if abs(ours[look][name] - real[i]) <= distance else " !")
            for i, look in enumerate(LOOKS)
        ]
        rows.append([name, *cells, f"± {distance}"])
    return rows


def label_mix_rows() -> list[list]:
    looks = by_look("train")
    counts = {look: Counter(n for e in looks[look] for n in e.labels) for look in LOOKS}

    def cell(look: str, name: str) -> str:
        ours, real = 100 * counts[look][name] / max(len(looks[look]), 1), REAL_LABELS[look].get(name, 1 if look == "asr" else None)
        if real is None:
            return f"{ours:.0f} / –"
        return f"{ours:.0f} / {'≤1' if name not in REAL_LABELS[look] else real}" + ("" if abs(ours - real) <= MIX_DISTANCE else " !")

    return [[f"`{n}`", *(cell(look, n) for look in LOOKS)] for n in NAMES]


@cache
def _taboo_and_rules() -> list[tuple[set[str], set[str]]]:
    """For each taboo sentence of train its labels and what the base norm's rules find."""
    examples = [e for e in sentences("train") if any(find(n).taboo for n in e.labels)]
    found = Classifier.from_rules(norm=Norm.load("base")).predict_many((e.text for e in examples), split=False)
    return [(set(e.labels), set(p.labels)) for e, p in zip(examples, found, strict=True)]


def subtle_share(label: str) -> float:
    """Share of train's sentences with the taboo `label` that have no giveaway: no rule of the base norm finds the label in them."""
    found = [label in rules for labels, rules in _taboo_and_rules() if label in labels]
    return 1 - sum(found) / len(found)


def label_rows() -> list[list]:
    parts = {part: sentences(part) for part in PARTS}
    counts = {part: Counter(n for e in parts[part] for n in e.labels) for part in PARTS}
    notes = {part: annotations(part) for part in PARTS}
    human = {part: alone(rows, "annotator") for part, rows in notes.items()}
    rows = []
    for label in LABELS:
        n = label.name
        pairs = {part: ([n in r["author"] for r in notes[part]], [n in r["annotator"] for r in notes[part]]) for part in PARTS}
        figures = [f(*pairs[part]) for f in (kappa, alpha) for part in PARTS] + [human[part].labels[n].f1 for part in PARTS]
        subtle = f"{100 * subtle_share(n):.0f} %" if label.taboo else ""
        rows.append(
            [f"`{n}`", label.zh, counts["train"][n], counts["gold"][n], subtle, *("–" if x is None else f"{x:.2f}" for x in figures)]
        )
    return rows


def human_line() -> str:
    found = []
    for part in (*PARTS, "contrast"):
        rows = annotations(part)
        one = {who: alone(rows, who) for who in ("author", "annotator")}
        found.append(
            f"{part} ({len(rows)} sentences) "
            + ", ".join(f"{who} alone micro {e.micro.f1:.3f} macro {e.macro_f1:.3f}" for who, e in one.items())
        )
    return "Human-level F1, one against the adjudicated labels: " + "; ".join(found) + ".\n"


def card() -> str:
    parts = {part: sentences(part) for part in PARTS}
    whole = {part: calls(part) for part in PARTS}
    domains = Counter(e.fields["domain"] for e in parts["train"])
    kinds = {part: Counter(e.fields["kind"] for e in parts[part]) for part in PARTS}
    pairs = Counter(pair for e in parts["train"] for pair in itertools.combinations(e.labels, 2))
    turns = sorted(len(t) for t in (*whole["train"].values(), *whole["gold"].values()))
    totals = [
        [part, len(parts[part]), sum("call_id" in e.fields for e in parts[part]), len(whole[part]), len({e.fields["author"] for e in parts[part]}),
         len(annotations(part)), *(kinds[part][k] for k in ("clean", "asr", "chat", "hard"))]
        for part in PARTS
    ]  # fmt: skip
    return "\n".join(
        [
            (DATA / "about.md").read_text(encoding="utf-8"),
            "## Size\n",
            table(
                ["part", "agent sentences", "of these in calls", "calls", "authors", "labelled twice", "clean", "asr", "chat", "hard"],
                totals,
            ),
            f"Turns per call: {turns[0]} to {turns[-1]}, median {turns[len(turns) // 2]}. Domains of train: "
            + ", ".join(f"{d} {n}" for d, n in domains.most_common())
            + ".\n",
            "## Labels, agreement, human level\n",
            "Kappa (Cohen) and alpha (Krippendorff) are between the author and a blind annotator who saw the text alone; human F1 is that of the blind annotator against the "
            "adjudicated labels. Subtle: share of the label's sentences in train in which no rule of the base norm finds it.\n",
            table(
                ["label", "中文", "train", "gold", "subtle", "kappa, train", "gold", "alpha, train", "gold", "human F1, train", "gold"],
                label_rows(),
            ),
            human_line(),
            "Most frequent pairs in train: " + ", ".join(f"{a} + {b} {n}" for (a, b), n in pairs.most_common(15)) + ".\n",
            "## Beside real speech\n",
            "Agent turns of the calls of train / of real sources, per look. `!` marks what lies farther off than the distance in the last column.\n",
            table(["figure", *LOOKS, "distance"], real_speech_rows()),
            f"Share of turns with each label, in percent, train / real (– where the source gives none; distance ± {MIX_DISTANCE}):\n",
            table(["label", *LOOKS], label_mix_rows()),
        ]
    )


def bars(title: str, values: dict[str, float], *, unit: str = "") -> str:
    """A horizontal bar chart as inline SVG."""
    top, width, row = max(values.values()) or 1, 640, 20
    lines = []
    for i, (name, value) in enumerate(values.items()):
        y, length = i * row, 380 * value / top
        lines.append(
            f'<text x="190" y="{y + 14}" text-anchor="end">{html.escape(name)}</text><rect x="200" y="{y + 3}" width="{length:.1f}" height="14"/><text x="{206 + length:.1f}" y="{y + 14}">{value:.0f}{unit}</text>'
        )
    return f'<h2>{html.escape(title)}</h2><svg viewBox="0 0 {width} {row * len(values)}" role="img">{"".join(lines)}</svg>'


def plots() -> str:
    train = sentences("train")
    counts = {part: Counter(n for e in sentences(part) for n in e.labels) for part in PARTS}
    lengths = Counter(min(len(e.text) // 10, 12) for e in train)
    style = (
        "body{font:15px/1.5 sans-serif;max-width:720px;margin:2em auto;padding:0 1em}svg{width:100%;font:12px sans-serif}rect{fill:#4477aa}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>svcnorm data</title><style>{style}</style>'
        "<h1>svcnorm: the corpus</h1><p>Written by <code>make data-report</code>; the tables are in data/README.md.</p>"
        + bars("Labels in train", {n: counts["train"][n] for n in NAMES})
        + bars("Labels in gold", {n: counts["gold"][n] for n in NAMES})
        + bars("Length in characters, train", {("120 and more" if i == 12 else f"{10 * i}–{10 * i + 9}"): lengths[i] for i in range(13)})
        + bars("Domains, train", dict(Counter(e.fields["domain"] for e in train).most_common(30)))
        + bars("Labels per sentence, train", {str(k): v for k, v in sorted(Counter(len(e.labels) for e in train).items())})
        + "</html>\n"
    )


def main() -> None:
    (DATA / "README.md").write_text(card(), encoding="utf-8")
    (ROOT / "docs" / "data.html").write_text(plots(), encoding="utf-8")


if __name__ == "__main__":
    main()
