"""svcnorm beside what else one could use, on the same held-out sentences: quality and cost, in one run.

    python -m benchmarks.peers [--only NAME …]        # make benchmark; writes docs/benchmark.md and docs/benchmark.json

Every peer that learns gets the sentences of data/train that the shipped model trained on, and thresholds of best F1 on the held-back authors;
data/gold is scored once. Each is timed in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata as metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "benchmark"
SINGLE, BULK = 300, 1000  # sentences timed one by one, and together
Score = Callable[[Sequence[str]], np.ndarray]
"""Sentences to a matrix of probabilities, or of decisions as 0 and 1. Shape: (n, len(LABELS))."""


# --- the peers: each has the packages that it needs, `fit` (files into a folder) and `load` (a Score) ---------------------------


class Svcnorm:
    packages, trains = ("svcnorm",), False

    def __init__(self, way: str):
        self.way = way

    def load(self, folder: Path, threads: int) -> Score:
        from svcnorm import Classifier, Norm
        from svcnorm.classifier import ways
        from svcnorm.evaluation import indicator

        if self.way == "rules":
            classifier = Classifier.from_rules()
        else:
            classifier = ways(Classifier.load(threads=threads, cache=0).scorer, Norm.load("base"))[self.way]

        def score(texts: Sequence[str]) -> np.ndarray:
            rows = list(classifier.scored_many(texts, split=False))
            decided = indicator(p.labels for p, _ in rows)
            self.ranking = np.stack([np.zeros(decided.shape[1]) if p is None or not len(p) else p[0] for _, p in rows])
            if self.way == "both":  # what a rule has found is sure
                self.ranking = np.maximum(
                    self.ranking,
                    [[any(f.label == n and f.source == "rule" for s in r for f in s.findings) for n in names()] for r, _ in rows],
                )
            return decided.astype(np.float32)

        return score


class TfIdf:
    packages, trains = ("scikit-learn",), True

    def fit(self, train: tuple, held: tuple, folder: Path) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        features = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
        model = OneVsRestClassifier(LogisticRegression(C=10, solver="liblinear")).fit(features.fit_transform(train[0]), train[1])
        (folder / "vocabulary.json").write_text(json.dumps({k: int(v) for k, v in features.vocabulary_.items()}, ensure_ascii=False))
        weights = [(e.coef_[0], e.intercept_[0]) for e in model.estimators_]
        np.savez(
            folder / "weights.npz",
            idf=features.idf_,
            coef=np.stack([w for w, _ in weights]).astype(np.float32),
            intercept=[b for _, b in weights],
        )

    def load(self, folder: Path, threads: int) -> Score:
        from sklearn.feature_extraction.text import TfidfVectorizer

        saved = np.load(folder / "weights.npz")
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        features = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, vocabulary=vocabulary)
        features.idf_ = saved["idf"]
        coef, intercept = saved["coef"].T, saved["intercept"]
        return lambda texts: sigmoid(features.transform(texts) @ coef + intercept)


class FastText:
    packages, trains = ("fasttext-numpy2-wheel",), True

    def fit(self, train: tuple, held: tuple, folder: Path) -> None:
        import fasttext

        lines = [
            " ".join([*(f"__label__{j}" for j in np.flatnonzero(row)), *text.replace(" ", "_")]) for text, row in zip(*train, strict=True)
        ]
        (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        model = fasttext.train_supervised(
            str(folder / "train.txt"), loss="ova", wordNgrams=4, dim=64, epoch=25, lr=0.3, thread=1, seed=13, verbose=0
        )
        model.save_model(str(folder / "model.bin"))

    def load(self, folder: Path, threads: int) -> Score:
        import fasttext

        model = fasttext.load_model(str(folder / "model.bin"))

        def score(texts: Sequence[str]) -> np.ndarray:
            out = np.zeros((len(texts), len(names())), np.float32)
            for row, text in zip(out, texts, strict=True):
                labels, p = model.predict(" ".join(text.replace(" ", "_").replace("\n", "_")), k=-1)
                row[[int(x.removeprefix("__label__")) for x in labels]] = p
            return out

        return score


class FrozenBase:
    packages, trains = ("torch", "transformers", "scikit-learn"), True

    def fit(self, train: tuple, held: tuple, folder: Path) -> None:
        from sklearn.linear_model import LogisticRegression

        x = self.encoder(2)(train[0])
        models = [LogisticRegression(C=10, max_iter=500).fit((x - x.mean(0)) / x.std(0), y) for y in train[1].T]
        coef = np.stack([m.coef_[0] / x.std(0) for m in models])
        np.savez(folder / "weights.npz", coef=coef, intercept=np.array([m.intercept_[0] for m in models]) - coef @ x.mean(0))

    def encoder(self, threads: int) -> Score:
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(threads)
        base = ROOT / "build" / "encoder"
        model, tokenizer = AutoModel.from_pretrained(base, add_pooling_layer=False).eval(), AutoTokenizer.from_pretrained(base)

        @torch.no_grad()
        def embed(texts: Sequence[str]) -> np.ndarray:
            out = np.empty((len(texts), model.config.hidden_size), np.float32)
            order = np.argsort([len(t) for t in texts])
            for part in np.array_split(order, max(1, len(order) // 32)):
                batch = tokenizer(
                    ["query: " + texts[i] for i in part],
                    truncation=True,
                    max_length=128,
                    padding=True,
                    return_token_type_ids=False,
                    return_tensors="pt",
                )
                mask = batch["attention_mask"][..., None]
                hidden = model(**batch).last_hidden_state
                out[part] = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy()
            return out

        return embed

    def load(self, folder: Path, threads: int) -> Score:
        embed, saved = self.encoder(threads), np.load(folder / "weights.npz")
        return lambda texts: sigmoid(embed(texts) @ saved["coef"].T + saved["intercept"])


class Pipeline:
    packages, trains = ("torch", "transformers"), False

    def load(self, folder: Path, threads: int) -> Score:
        import torch
        from transformers import pipeline

        from svcnorm.bundle import locate
        from svcnorm.labels import NAMES

        torch.set_num_threads(threads)
        pipe = pipeline(
            "text-classification",
            model=str(locate(None) / "checkpoint"),
            device="cpu",
            top_k=None,
            function_to_apply="sigmoid",
            dtype=torch.float32,
        )

        def score(texts: Sequence[str]) -> np.ndarray:
            rows = pipe(list(texts), batch_size=32, truncation=True, max_length=128)
            return np.array([[{x["label"]: x["score"] for x in row}[n] for n in NAMES] for row in rows], np.float32)

        return score


class ConvoKit:
    """Chinese politeness strategies (Li et al. 2020), mapped to our labels where one means the other; words by jieba, as its lexicons have them."""

    packages, trains = ("convokit", "jieba"), False
    MAPPING: ClassVar = {"apologetic": "apology", "gratitude": "gratitude", "greeting": "greeting", "best_wishes": "farewell", "please": "request", "promise": "commitment",
               "praise": "compliment", "hedge": "hedging", "taboo": "rudeness", "emergency": "impatience", "start_question": "inquiry", "can_you": "consultation",
               "could_you": "consultation"}  # fmt: skip

    def load(self, folder: Path, threads: int) -> Score:
        import jieba
        from convokit.politeness_collections.politeness_cscw_zh.strategy_extractor import get_chinese_politeness_strategy_features

        jieba.setLogLevel("ERROR")
        jieba.initialize()

        def score(texts: Sequence[str]) -> np.ndarray:
            out = np.zeros((len(texts), len(names())), np.float32)
            for row, text in zip(out, texts, strict=True):
                found, _ = get_chinese_politeness_strategy_features([[{"tok": w} for w in jieba.cut(text)]])
                row[[names().index(label) for strategy, label in self.MAPPING.items() if found[strategy]]] = 1
            return out

        return score


PEERS = {
    "rules only": Svcnorm("rules"), "ConvoKit politeness strategies": ConvoKit(), "TF-IDF + logistic regression": TfIdf(), "fastText": FastText(),
    "frozen base + logistic regression": FrozenBase(), "transformers.pipeline": Pipeline(), "svcnorm, model": Svcnorm("model"), "svcnorm, model and rules": Svcnorm("both"),
}  # fmt: skip
OWN_ENVIRONMENT = {"ConvoKit politeness strategies": ROOT / "build" / "convokit"}  # what it needs would change ours


def names() -> list[str]:
    return json.loads((BUILD / "labels.json").read_text())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# --- in the process of one peer -----------------------------------------------------------------------------------------------


def sentences(part: str) -> tuple[list[str], np.ndarray]:
    saved = json.loads((BUILD / f"{part}.json").read_text(encoding="utf-8"))
    return saved["text"], np.array(saved["labels"])


def measure(name: str, threads: int) -> dict:
    """What one peer costs, and (with two threads) what it says of the held-back sentences and of gold."""
    peer, folder = PEERS[name], BUILD / name
    score = peer.load(folder, threads)
    texts = sentences("gold")[0]
    bulk = (texts * (BULK // len(texts) + 1))[:BULK]
    score(bulk[:64])
    rates, times = [], []
    for _ in range(3):
        start = time.perf_counter()
        score(bulk)
        rates.append(BULK / (time.perf_counter() - start))
    for text in bulk[:SINGLE]:
        start = time.perf_counter()
        score([text])
        times.append(1000 * (time.perf_counter() - start))
    found = {"rate": statistics.median(rates), "median_ms": statistics.median(times), "p95_ms": float(np.quantile(times, 0.95)),
             "install_mb": installed(peer.packages) / 1e6,
             "versions": {p: metadata.version(p) for p in peer.packages}}  # fmt: skip
    if threads == 2:
        for part in ("held", "gold"):
            scores = score(sentences(part)[0])
            np.savez(folder / f"{part}.npz", scores=scores, ranking=getattr(peer, "ranking", scores))
    return found


def peak(name: str) -> float:
    """Megabytes that one peer has at most, loaded and after 200 sentences in bulk. Not ru_maxrss: that begins with what the parent had."""
    PEERS[name].load(BUILD / name, 2)(sentences("gold")[0][:200])
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def installed(packages: Sequence[str]) -> int:
    """Bytes of the packages and of all that they require, without extras."""
    from packaging.requirements import Requirement

    seen, queue, size = set(), list(packages), 0
    while queue:
        name = queue.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name == "svcnorm":  # an editable install lists no files of its own
            size += sum(
                f.stat().st_size for f in [*(ROOT / "svcnorm").rglob("*"), *bundle_files()] if f.is_file() and "__pycache__" not in f.parts
            )
        for file in distribution.files or []:
            path = Path(file.locate())
            size += path.stat().st_size if path.is_file() and path.suffix != ".pyc" else 0
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append(requirement.name)
    return size


def bundle_files() -> list[Path]:
    from svcnorm.bundle import locate

    return list(locate(None).iterdir())


# --- the run ------------------------------------------------------------------------------------------------------------------


def child(name: str, *args: str) -> str:
    python = OWN_ENVIRONMENT[name] / "bin" / "python" if name in OWN_ENVIRONMENT else Path(sys.executable)
    threads = args[args.index("--threads") + 1] if "--threads" in args else "2"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [str(python), "-m", "benchmarks.peers", "--peer", name, *args], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def prepare() -> None:
    import yaml

    from svcnorm.evaluation import indicator
    from svcnorm.labels import NAMES
    from svcnorm.text import normalise
    from training.prepare import read_folder

    held = yaml.safe_load((ROOT / "training" / "configs" / "base.yaml").read_text(encoding="utf-8"))["held_out"]
    train = read_folder(ROOT / "data" / "train")
    parts = {
        "train": [e for e in train if e.fields["author"] not in held],
        "held": [e for e in train if e.fields["author"] in held],
        "gold": read_folder(ROOT / "data" / "gold"),
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "labels.json").write_text(json.dumps(NAMES))
    for part, examples in parts.items():
        content = {"text": [normalise(e.text) for e in examples], "labels": indicator(e.labels for e in examples).astype(int).tolist()}
        (BUILD / f"{part}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for name in PEERS:
        (BUILD / name).mkdir(exist_ok=True)


def quality(name: str) -> dict:
    """Figures on gold; a peer that gives probabilities decides by thresholds of best F1 on the held-back authors."""
    from sklearn.metrics import precision_recall_curve

    from svcnorm.evaluation import TABOO, evaluate_matrix
    from training.calibrate import threshold

    saved = {part: np.load(BUILD / name / f"{part}.npz") for part in ("held", "gold")}
    held, gold, truth = saved["held"]["scores"], saved["gold"]["scores"], {part: sentences(part)[1] for part in saved}
    given = not np.isin(held, (0, 1)).all()
    cut = np.array([threshold(p, t, None) for p, t in zip(held.T, truth["held"].T, strict=True)]) if given else 0.5
    e = evaluate_matrix(gold >= cut, truth["gold"] > 0)
    precision, recall, _ = precision_recall_curve(truth["gold"][:, TABOO].any(1), saved["gold"]["ranking"][:, TABOO].max(1))
    return {"micro_f1": e.micro.f1, "macro_f1": e.macro_f1, "taboo_precision": e.taboo.precision, "taboo_recall": e.taboo.recall,
            "taboo_recall_at_precision_95": float(recall[precision >= 0.95].max(initial=0)), "labels": {k: c.f1 for k, c in e.labels.items()}}  # fmt: skip


def environments() -> None:
    for name, path in OWN_ENVIRONMENT.items():
        if not (path / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
            packages = [*PEERS[name].packages, "torch==2.13.0", "packaging"]
            subprocess.run([str(path / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages], check=True)


def run(only: Sequence[str]) -> dict:
    prepare()
    environments()
    rows = {}
    for name in only or PEERS:
        print(name, flush=True)
        if PEERS[name].trains:
            child(name, "--fit")
        one, two = (json.loads(child(name, "--threads", str(n))) for n in (1, 2))
        first = []
        for _ in range(5):
            start = time.perf_counter()
            child(name, "--first")
            first.append(time.perf_counter() - start)
        rows[name] = {
            **quality(name),
            **one,
            "rate_2": two["rate"],
            "start_s": statistics.median(first),
            "peak_mb": float(child(name, "--peak")),
        }
    return {"format": 1, "machine": machine(), "sentences": len(sentences("gold")[0]), "trained": len(sentences("train")[0]), "peers": rows}


def cpu() -> tuple[str, list[str]]:
    """The processor's name, and of its instruction sets the widest that float products use and whether int8 has VNNI; both empty where unknown."""
    lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    facts = {key.strip(): value.strip() for key, value in lines}
    flags = set(facts.get("flags", "").split())
    wide = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), None)
    return facts.get("model name", ""), [wide, "VNNI" if flags & {"avx512_vnni", "avx_vnni"} else "no VNNI"] if wide else []


def machine() -> dict:
    name, sets = cpu()
    return {"cpu": ", ".join([name, *sets]), "cores": os.cpu_count(), "python": platform.python_version()}


def table(found: dict) -> str:
    from svcnorm.labels import LABELS
    from svcnorm.report import percent

    rows = found["peers"]
    machine = found["machine"]
    versions = sorted({f"{k} {v}" for row in rows.values() for k, v in row["versions"].items()})
    lines = [
        "# Benchmark against peers", "",
        f"Written by `make benchmark`; nothing here is typed in. {found['sentences']} sentences of data/gold; what learns has learnt from the {found['trained']} sentences of data/train without the "
        f"held-back authors, on which thresholds are chosen. {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; {', '.join(versions)}.", "",
        "Quality in percent, model quality without rules unless said. “At 0.95”: the highest recall of taboo-or-not that any threshold reaches on these sentences with a precision of at least 0.95.", "",
        "| | macro-F1 | micro-F1 | taboo: precision | recall | recall at 0.95 | one sentence, ms: median | p95 | sentences/s, 1 thread | 2 threads | peak memory, MB | installed, MB | start to first label, s |",
        "|---|" + "---|" * 12,
        *(f"| {name} | {percent(r['macro_f1'])} | {percent(r['micro_f1'])} | {percent(r['taboo_precision'])} | {percent(r['taboo_recall'])} | {percent(r['taboo_recall_at_precision_95'])} | "
          f"{r['median_ms']:.2f} | {r['p95_ms']:.2f} | {r['rate']:.0f} | {r['rate_2']:.0f} | {r['peak_mb']:.0f} | {r['install_mb']:.0f} | {r['start_s']:.2f} |" for name, r in rows.items()), "",
        "TF-IDF: 1- to 4-grams of characters, logistic regression for each label. fastText: one classifier for each label (`ova`), characters as words, up to 4-grams. Frozen base: the encoder that "
        "svcnorm was fine-tuned from, mean pooling, logistic regression. transformers.pipeline: the float checkpoint of the shipped model, batches of 32. ConvoKit: its Chinese politeness "
        f"strategies, mapped: {', '.join(f'{a} → {b}' for a, b in ConvoKit.MAPPING.items())}; other labels it cannot give. Peers that are one thread by nature have the same figure twice, up to noise.", "",
        "## F1 of each label", "",
        "| label | " + " | ".join(rows) + " |", "|---|" + "---|" * len(rows),
        *(f"| {x.name} {x.zh} | " + " | ".join(percent(r["labels"][x.name]) for r in rows.values()) + " |" for x in LABELS), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=[])
    parser.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--fit", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        PEERS[args.peer].fit(sentences("train"), sentences("held"), BUILD / args.peer)
        print("fitted")
    elif args.first:
        print(PEERS[args.peer].load(BUILD / args.peer, 2)(["您好"]).shape)
    elif args.peak:
        print(peak(args.peer))
    elif args.peer:
        print(json.dumps(measure(args.peer, args.threads)))
    else:
        found = run(args.only)
        print(table(found))
        if not args.only:
            (ROOT / "docs" / "benchmark.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            (ROOT / "docs" / "benchmark.md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
