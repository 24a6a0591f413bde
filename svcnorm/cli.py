"""The command line: parse, call, print. Exit codes: 0 done; 1 done, and what was checked does not hold; 2 a problem with the input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import click

from svcnorm import __version__, bulk, registry
from svcnorm.assessment import read_gates
from svcnorm.bundle import Bundle, models_dir, open_bundle, sha256_file
from svcnorm.calls import CallAudit, audit, read_calls
from svcnorm.checks import check_cases, read_cases, shipped_cases, sides, under_noise
from svcnorm.classifier import Classifier
from svcnorm.commands_data import data
from svcnorm.errors import DataError, SvcnormError
from svcnorm.examples import Example, read_examples
from svcnorm.labels import LABELS
from svcnorm.model import cores
from svcnorm.norms import Judgement, Norm, covered
from svcnorm.norms import names as norm_names
from svcnorm.report import percent, write_evaluation
from svcnorm.results import Prediction, Sentence
from svcnorm.rulestats import norm_changes, rule_statistics
from svcnorm.terminal import (
    Reader,
    handled,
    judge_line,
    lang_option,
    load_classifier,
    meter,
    model_option,
    norm_option,
    progress,
    report_problems,
    rules_option,
    table,
    texts,
    to_json,
)

_COUNT = click.IntRange(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Label what call-centre agents say in Chinese, and judge it by a service norm.

    Exit codes: 0 done; 1 done, and what was checked does not hold (norm check, model verify); 2 a problem with the input.
    """


main.add_command(data)


@main.command()
@click.argument("source", default="-", metavar="[TEXT|FILE|-]")
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True)
@click.option("--whole", is_flag=True, help="Take each text as one sentence.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Label a JSONL, CSV, TSV or Parquet file into this one; the suffix says its form."
)
@click.option("--text-column", metavar="NAME", help="With --out: the column that has the texts; default: text.")
@norm_option
@model_option
@rules_option
@lang_option
@handled
def predict(
    source: str, form: str, whole: bool, out: Path | None, text_column: str | None,
    norm: str, model: str | None, rules_only: bool, lang: str,
) -> None:  # fmt: skip
    """Label a text, a file, or standard input (-).

    A file has a text a line, or is JSONL with "text" in each object (the other fields are passed through with --format jsonl). A
    line that cannot be read is reported on standard error, with its number, and the rest is done; the exit code is then 2.

    With --out, files of any length, .jsonl, .csv or .tsv (also .gz, .zst behind it) or .parquet: a row a sentence, or in JSONL a row a
    text. Run again after an interruption, it goes on where it was. Rejected rows go to OUT.rejected.jsonl.
    """
    if (text_column and not out) or (out and form != "table"):
        raise click.UsageError("--text-column goes with --out, and --format without it")
    if out:
        sys.exit(_predict_file(Path(source), out, load_classifier(model, norm, rules_only), text_column or "text", whole))
    problems: list[str] = []
    rows = texts(source, problems)
    classifier = load_classifier(model, norm, rules_only)
    say = Reader(lang)
    predicted = _labelled(rows, classifier, whole)
    if form == "json":
        click.echo(to_json([{**row, **p.to_dict()} for row, p in predicted], indent=2))
    elif form == "jsonl":
        for row, p in progress(predicted):
            click.echo(to_json({**row, **p.to_dict()}))
    else:
        click.echo(judge_line(say, classifier))
        for _, p in predicted:
            click.echo(
                table(say, [row for s in p for row in _sentence_rows(say, s)], ["sentence", "labels", "probability", "evidence", "clause"])
            )
    report_problems(problems)


@main.command("audit")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True)
@norm_option
@model_option
@rules_option
@lang_option
@handled
def audit_command(file: Path, form: str, norm: str, model: str | None, rules_only: bool, lang: str) -> None:
    """Label the agent's turns of whole calls and check the steps that the norm requires.

    FILE is JSONL (one call a line, or one turn a line with a call id) or CSV with the columns call_id, role, text.
    """
    problems: list[str] = []
    classifier = load_classifier(model, norm, rules_only)
    say = Reader(lang)
    audits = (audit(call, classifier) for call in read_calls(file, problems.append))
    if form == "json":
        click.echo(to_json([a.to_dict() for a in audits], indent=2))
    elif form == "jsonl":
        for a in progress(audits):
            click.echo(to_json(a.to_dict()))
    else:
        click.echo(judge_line(say, classifier))
        for a in audits:
            _print_audit(say, a)
    report_problems(problems)


@main.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@norm_option
@model_option
@rules_option
@click.option(
    "--max-wait-ms", type=click.FloatRange(0), default=2, show_default=True, help="How long a text waits for others to share its batch."
)
@click.option("--max-batch", type=_COUNT, default=16, show_default=True, help="Texts that are labelled together.")
@click.option("--max-queue", type=_COUNT, default=2000, show_default=True, help="Texts accepted and not answered; beyond it 503.")
@click.option("--max-body", type=_COUNT, default=1 << 20, show_default=True, help="Bytes of a request's body.")
@click.option("--max-chars", type=_COUNT, default=5000, show_default=True, help="Characters of a text.")
@click.option("--max-texts", type=_COUNT, default=1000, show_default=True, help="Texts of a request, or turns of a call.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=30, show_default=True, help="Seconds until a request is given up."
)
@click.option("--threads", type=_COUNT, help="Batches that are labelled side by side, a thread each; default: as many as there are cores.")
@handled
def serve_command(host: str, port: int, norm: str, model: str | None, rules_only: bool, threads: int | None, **limits: Any) -> None:
    """Answer over HTTP: /predict, /predict_many, /audit, /health, /version, /openapi.json (docs/service.md)."""
    from svcnorm.serve import Limits, serve

    serve(load_classifier(model, norm, rules_only, threads=1), host, port, Limits(**limits), threads or cores())


@main.command()
@lang_option
def labels(lang: str) -> None:
    """The labels, their groups and meanings."""
    say = Reader(lang)
    rows = [
        [
            say.label(x.name) if not say.zh else f"{say.label(x.name)} {x.name}",
            x.group.zh if say.zh else x.group.value,
            x.meaning_zh if say.zh else x.meaning,
        ]
        for x in LABELS
    ]
    click.echo(table(say, rows, ["label", "group", "meaning"]))


@main.group()
def norm() -> None:
    """Norms: list, show, check, stats, diff."""


@norm.command("list")
@lang_option
@handled
def norm_list(lang: str) -> None:
    """The norms that come with svcnorm."""
    say = Reader(lang)
    loaded = [Norm.load(name) for name in norm_names()]
    click.echo(table(say, [[n.name, n.title, str(len(n.rules)), str(len(n.steps))] for n in loaded], ["name", "title", "rules", "steps"]))


@norm.command("show")
@click.argument("name")
@lang_option
@handled
def norm_show(name: str, lang: str) -> None:
    """What a norm judges, its steps, and how many rules it has for each label."""
    say, loaded = Reader(lang), Norm.load(name)
    click.echo(f"{loaded.name}: {loaded.title}\n{loaded.source}" + (f"\nextends {loaded.extends}" if loaded.extends else ""))
    judged = [[say.label(x.name), say(j.severity or ""), ", ".join(j.clauses), j.say_instead or "", str(sum(x.name in r.labels for r in loaded.rules))]
              for x in LABELS for j in [loaded.judgements.get(x.name, Judgement())]]  # fmt: skip
    click.echo(table(say, judged, ["label", "severity", "clause", "say instead", "rules"]))
    steps = [[s.id, s.title, say(s.judgement.severity or ""), ", ".join(s.judgement.clauses)] for s in loaded.steps]
    click.echo(table(say, steps, ["step", "title", "severity", "clause"]))


@norm.command("check")
@click.argument("files", nargs=-1, required=True)
@handled
def norm_check(files: tuple[str, ...]) -> None:
    """Check norm files: their form, and every rule against its own hits and misses. Exit code 1 if an example fails."""
    failed = False
    for name in files:
        loaded = Norm.load(name)
        problems = loaded.problems()
        failed = failed or bool(problems)
        click.echo(
            "\n".join(problems)
            or f"{name}: {len(loaded.rules)} rules, {len(loaded.steps)} steps, {len(dict(covered(loaded)))} clauses: all examples hold"
        )
    sys.exit(int(failed))


@norm.command("stats")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@norm_option
@model_option
@rules_option
@lang_option
@handled
def norm_stats(data: Path, form: str, norm: str, model: str | None, rules_only: bool, lang: str) -> None:
    """What each rule does on labelled sentences: hits, precision, what it adds to the model, where the two differ; dead rules at the end.

    DATA is JSONL with "text" and "labels". "added": labels that the model alone does not find; "refused": labels that the rule
    supports and the model rules out. Each with the share that is right.
    """
    problems: list[str] = []
    classifier = load_classifier(model, norm, rules_only)
    rows = rule_statistics(classifier.norm, read_examples(data, problems.append), None if rules_only else classifier)
    if form == "jsonl":
        click.echo("\n".join(map(to_json, rows)))
    else:
        say, share = Reader(lang), lambda right, of: f"{of} / {percent(right / of)}" if of else "–"
        columns = [("right", "labels"), *([] if rules_only else [("added_right", "added"), ("conflicts_right", "conflicts")])]
        shown = [[r["rule"], ", ".join(r["for"]), str(r["hits"]), *(share(r[a], r[b]) for a, b in columns)] for r in rows if r["hits"]]
        click.echo(judge_line(say, classifier))
        click.echo(table(say, shown, ["rule", "labels", "hits", "given", *([] if rules_only else ["added", "refused"])]))
        dead = [f"{r['rule']} ({r['norm']}:{r['line']})" for r in rows if not r["hits"]]
        click.echo(f"{say('no hit')} ({len(dead)}): {', '.join(dead) or '–'}")
    report_problems(problems)


@norm.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Calls, as for `svcnorm audit`.")
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@model_option
@rules_option
@lang_option
@handled
def norm_diff(old: str, new: str, data: Path, form: str, model: str | None, rules_only: bool, lang: str) -> None:
    """Which decisions change on calls when the norm NEW takes the place of OLD: labels, severities, clauses, steps."""
    problems: list[str] = []
    say, before = Reader(lang), load_classifier(model, old, rules_only)
    after = Classifier(before.scorer, Norm.load(new))
    changes = norm_changes(before, after, progress(read_calls(data, problems.append)))
    if form == "jsonl":
        for row in changes:
            click.echo(to_json(row))
    else:
        word = lambda x: "–" if x is None else " ".join(say(v) for v in x.values() if v)  # noqa: E731
        rows = [[r["call_id"], str(r.get("turn", "")), r.get("sentence", ""), say.label(r["label"]) if "label" in r else r["step"],
                 word(r["old"]), word(r["new"])] for r in changes]  # fmt: skip
        click.echo(table(say, rows, ["call", "turn", "sentence", "label", before.norm.name, after.norm.name]))
        click.echo(f"{len(rows)} {say('changes')}")
    report_problems(problems)


@main.command("evaluate")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for what is written; it is made.")
@click.option("--compare", "other", metavar="ID|DIR|rules", help="An old model, or `rules`: judge the model against it on the same data.")
@click.option("--gates", type=click.Path(path_type=Path), help="With --compare: what the new model must keep; default: svcnorm/gates.yaml.")
@click.option("--slice", "fields", multiple=True, metavar="FIELD", help="A field of the data to slice by; default: each with few values.")
@norm_option
@model_option
@rules_option
@handled
def evaluate_command(
    data: Path, out: Path, other: str | None, gates: Path | None, fields: tuple[str, ...], norm: str, model: str | None, rules_only: bool
) -> None:
    """Measure a model on labelled sentences: DATA is JSONL with "text" and "labels" in each line (data/README.md).

    Writes evaluation.json (figures, no text), errors.jsonl (each sentence that is not wholly right) and report.html (opens offline) to
    --out; with --compare also comparison.json, and the exit code is 1 if a gate fails.
    """
    if gates and not other:
        raise DataError("--gates judges a new model against an old one; name the old one with --compare")
    rules = read_gates(gates or Path(str(files("svcnorm") / "gates.yaml"))) if other else []
    problems: list[str] = []
    examples = list(read_examples(data, problems.append))
    origin = {"path": str(data), "sha256": sha256_file(data), "skipped": len(problems)}
    old = load_classifier(None if other == "rules" else other, norm, other == "rules") if other else None
    found, comparison = write_evaluation(
        out, progress(examples), load_classifier(model, norm, rules_only), old, gates=rules, fields=fields or None, origin=origin
    )
    shown = {
        "micro_f1": found["micro_f1"],
        "macro_f1": found["macro_f1"],
        "taboo_precision": found["taboo"]["precision"],
        "taboo_recall": found["taboo"]["recall"],
    }
    click.echo("   ".join([f"{len(examples)} sentences", *(f"{k} {percent(v)}" for k, v in shown.items()), str(out / "report.html")]))
    failed = [g for g in (comparison or {}).get("gates", []) if not g["passed"]]
    for g in failed:
        click.echo(f"{click.style('gate failed: ', fg='red')}{to_json({k: v for k, v in g.items() if k != 'passed'})}", err=True)
    report_problems(problems)
    sys.exit(int(bool(failed)))


@main.command("check-model")
@click.option(
    "--cases",
    "files_",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Capabilities of your own (JSONL), beside the shipped ones.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Labelled sentences to put under noise; default: those of the cases.")
@click.option("--min", "least", type=click.FloatRange(0, 1), help="Exit with 1 if a capability passes less often than this.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@norm_option
@model_option
@rules_option
@lang_option
@handled
def check_model(
    files_: tuple[Path, ...], data: Path | None, least: float | None, form: str, norm: str, model: str | None, rules_only: bool, lang: str
) -> None:
    """How a model behaves, capability by capability, and how it stands noise.

    A case is {"capability", "text", "labels"} or {"capability", "first": {"text", "labels"}, "second": {...}}. Of a sentence the whole set
    must be right; of a pair the difference, or, where both sides have the same labels, that nothing changes. Noise is what a speech
    recogniser does to a text, at a strength from 0 to 1.
    """
    problems: list[str] = []
    say, classifier = Reader(lang), load_classifier(model, norm, rules_only)
    cases = [case for path in (shipped_cases(), *files_) for case in read_cases(path, problems.append)]
    label = lambda texts: (p.labels for p in classifier.predict_many(texts, split=False))  # noqa: E731
    found = check_cases(cases, label)
    if data:
        examples = list(read_examples(data, problems.append))
    else:
        examples = [Example("", side["text"], tuple(side["labels"])) for case in cases for side in sides(case)]
    noisy = under_noise(examples, label)
    if form == "json":
        click.echo(
            to_json({"format": 1, "model": classifier.model, "norm": classifier.norm.name, "capabilities": found, "noise": noisy}, indent=1)
        )
    else:
        click.echo(judge_line(say, classifier))
        rows = [[name, str(r["cases"]), percent(r["passed"] / r["cases"]), percent(r["right"] / r["cases"])] for name, r in found.items()]
        click.echo(table(say, rows, ["capability", "cases", "passed", "wholly right"]))
        keys = ("micro_f1", "taboo_precision", "taboo_recall", "unchanged")
        click.echo(table(say, [[f"{r['strength']:g}", *(percent(r[k]) for k in keys)] for r in noisy], ["noise", *keys]))
    report_problems(problems)
    sys.exit(int(least is not None and any(r["passed"] < least * r["cases"] for r in found.values())))


@main.group()
def model() -> None:
    """Models: show, verify, list, promote, rollback."""


@model.command("show")
@click.argument("name", required=False)
@lang_option
@handled
def model_show(name: str | None, lang: str) -> None:
    """Where a model comes from; for each label its threshold, its unsure band, and how often it was right on sentences held back in training.

    "false alarms" are those in 1,000 sentences of whole calls, by the model alone.
    """
    say, bundle = Reader(lang), open_bundle(name)
    facts = {k: v for k, v in bundle.manifest.items() if k not in ("files", "labels", "format")}
    click.echo("\n".join(f"{k}: {to_json(v) if isinstance(v, dict) else v}" for k, v in {"path": bundle.path, **facts}.items()))
    c = bundle.calibration
    columns = {"threshold": c.threshold, "with a rule": c.with_rule, "unsure from": c.low, "unsure to": c.high}
    rows = [
        [say.label(x.name), *(f"{column[i]:.2f}" for column in columns.values()), *_rates(bundle, x.name)] for i, x in enumerate(LABELS)
    ]
    rows.append([say("any taboo"), *("" for _ in columns), *_rates(bundle, "any taboo")])
    click.echo(table(say, rows, ["label", *columns, "precision", "recall", "false alarms"]))


def _rates(bundle: Bundle, name: str) -> list[str]:
    values = [bundle.measured.get(name, {}).get(k) for k in ("precision", "recall", "false_alarms_per_1000")]
    return ["–" if v is None else f"{v:.2f}" for v in values]


@model.command("verify")
@click.argument("name", required=False)
def model_verify(name: str | None) -> None:
    """Check a model folder: manifest, label set, digests, and that it loads and labels. Exit code 1 if it does not."""
    try:
        bundle = open_bundle(name)
        Classifier.load(bundle.path).predict("您好")
    except SvcnormError as e:
        click.echo(str(e), err=True)
        sys.exit(1)
    click.echo(f"{bundle.path}: {bundle.id} is whole")


_models = click.option("--models", type=click.Path(path_type=Path, file_okay=False), help="A folder of bundles; default: that of svcnorm.")


@model.command("list")
@_models
@lang_option
@handled
def model_list(models: Path | None, lang: str) -> None:
    """The bundles of a folder, the last promoted first; * is current."""
    say, models = Reader(lang), models or models_dir()
    now = registry.current(models)
    rows = []
    for b in registry.bundles(models):
        origin = b.manifest.get("lineage", {})
        rows.append(["*" if b.id == now else "", b.id, *(str(origin.get(k) or "–") for k in ("promoted", "by", "parent", "commit"))])
    click.echo(table(say, rows, ["", "model", "promoted", "by", "parent", "commit"]))


@model.command("promote")
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--comparison", type=click.Path(path_type=Path, exists=True), help="A comparison.json: refuse unless its gates all passed.")
@_models
@handled
def model_promote(source: Path, comparison: Path | None, models: Path | None) -> None:
    """Put a bundle into the folder of bundles and make it the current one; the old one stays."""
    facts = {"gates": registry.passed_gates(comparison)} if comparison else {}
    click.echo(registry.promote(source, models or models_dir(), **facts))


@model.command("rollback")
@_models
@handled
def model_rollback(models: Path | None) -> None:
    """Make the current bundle's parent current again."""
    click.echo(registry.rollback(models or models_dir()))


# --- reading and printing ------------------------------------------------------------------------------------------------------


def _predict_file(source: Path, out: Path, classifier: Classifier, text_column: str, whole: bool) -> int:
    show = meter()

    def tell(line: str) -> None:
        click.echo(("\n" if show else "") + line, err=True)

    done = bulk.run(source, out, classifier, text_column=text_column, split=not whole, progress=show, on_problem=tell)
    resumed = f", the first {done.resumed_from} by an earlier run" if done.resumed_from else ""
    tell(f"{out}: {done.rows} rows, {done.sentences} sentences, {done.seconds:.0f} s{resumed}")
    if done.rejected:
        click.echo(click.style("skipped: ", fg="yellow") + f"{done.rejected} rows, see {out}.rejected.jsonl", err=True)
    return 2 if done.rejected else 0


def _labelled(rows: Iterator[dict[str, Any]], classifier: Classifier, whole: bool) -> Iterator[tuple[dict[str, Any], Prediction]]:
    while chunk := list(islice(rows, 1024)):
        yield from zip(chunk, classifier.predict_many((row["text"] for row in chunk), split=not whole), strict=True)


def _sentence_rows(say: Reader, s: Sentence) -> list[list[str]]:
    """Sentence, labels, probability, evidence, clause: a row for each finding, so that what is wrapped stays beside its label."""
    rows = [
        [
            say.label(f.label) + (click.style(f" {say(f.severity or '')}", fg="red") if f.breach else ""),
            "–" if f.probability is None else f"{f.probability:.2f}",
            "、".join(dict.fromkeys(e.text for e in f.evidence)) or "–",
            (f.clause or "–") + (f" → {f.say_instead}" if f.breach and f.say_instead else ""),
        ]
        for f in s.findings
    ]
    if s.unsure:
        rows.append([click.style(f"? {say('review')}: " + ", ".join(say.label(n) for n in s.unsure), fg="yellow"), "", "", ""])
    rows = rows or [["–", "", "", ""]]
    return [[s.text if i == 0 else "", *row] for i, row in enumerate(rows)]


def _print_audit(say: Reader, a: CallAudit) -> None:
    click.echo(click.style(f"\n{say('call')} {a.call.id}", bold=True))
    rows = []
    for i, (turn, p) in enumerate(zip(a.call.turns, a.predictions, strict=True)):
        if p is None:
            rows.append([str(i), say(turn.role), click.style(turn.text, dim=True), "", "", "", ""])
        for n, row in enumerate(row for s in p or () for row in _sentence_rows(say, s)):
            rows.append([*((str(i), say(turn.role)) if n == 0 else ("", "")), *row])
    click.echo(table(say, rows, ["turn", "role", "sentence", "labels", "probability", "evidence", "clause"]))
    colours = {"passed": "green", "missed": "red", "not_applicable": None}
    steps = [
        [
            click.style(say(s.status), fg=colours[s.status]),
            s.title,
            say(s.severity or ""),
            s.clause or "–",
            ", ".join(map(str, s.turns)) or "–",
        ]
        for s in a.steps
    ]
    click.echo(table(say, steps, ["status", "step", "severity", "clause", "turn"]))
    click.echo(
        f"{say('breaches')}: {len(a.breaches)}   {say('steps')}: {say('missing')} {len(a.missed)} / {sum(s.status != 'not_applicable' for s in a.steps)}"
    )
