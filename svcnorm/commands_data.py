"""`svcnorm data`: labelled sentences out of annotation tools and into them, what to label next, what reviewers said, and a look before training."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from svcnorm import datacheck
from svcnorm.calls import read_calls
from svcnorm.errors import DataError
from svcnorm.examples import ROLE_WORDS, read_examples, read_rows, write_rows, write_text
from svcnorm.forms import FORMS
from svcnorm.labelling import read_labelled
from svcnorm.mapping import Mapping
from svcnorm.preannotation import agent_turns, doccano_labels, doccano_rows, label_studio_config, label_studio_tasks, suggest
from svcnorm.privacy import mask
from svcnorm.selection import REASONS, USUAL, select
from svcnorm.tables import SUFFIXES
from svcnorm.terminal import (
    Reader,
    handled,
    lang_option,
    load_classifier,
    model_option,
    norm_option,
    progress,
    report_problems,
    rules_option,
    table,
    texts,
    to_json,
)
from svcnorm.verdicts import apply_verdicts, read_verdicts


@click.group()
def data() -> None:
    """Labelled data: into and out of annotation tools (docs/labelling.md), picked, checked, corrected (docs/retraining.md)."""


@data.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSONL with id, text and labels in each line.")
@click.option("--from", "form", type=click.Choice(list(FORMS)), help="Whose form FILE has; default: recognised from its content.")
@click.option("--mapping", type=click.Path(path_type=Path), help="YAML that says what columns and labels are called in FILE.")
@handled
def import_command(file: Path, out: Path, form: str | None, mapping: Path | None) -> None:
    """Labelled sentences of Label Studio, doccano, Argilla, CSV, TSV, Excel or JSONL as our JSONL.

    Labels that are not known are listed with a block for the mapping, and nothing is written. A bad row is reported with its number,
    the rest is written, and the exit code is 2.
    """
    problems: list[str] = []
    skipped: list[str] = []
    names = Mapping.load(mapping) if mapping else None
    examples = read_labelled(file, form=form, mapping=names, on_problem=problems.append, on_skip=skipped.append)
    write_rows(out, (e.to_dict() for e in examples))
    click.echo(f"{len(examples)} sentences: {out}")
    if skipped:
        click.echo("passed over: " + ", ".join(f"{n} {reason}" for reason, n in Counter(skipped).items()))
    report_problems(problems)


@data.command("export")
@click.argument("file")
@click.option("--to", "tool", type=click.Choice(["label-studio", "doccano"]), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Tasks to import in the tool.")
@click.option("--whole", is_flag=True, help="Take each text as one sentence.")
@norm_option
@model_option
@rules_option
@handled
def export_command(file: str, tool: str, out: Path, whole: bool, norm: str, model: str | None, rules_only: bool) -> None:
    """Sentences to label, with our findings as suggestions, for an annotation tool.

    FILE has a text a line, or is JSONL with "text", or has whole calls as for `svcnorm audit`, of which the agent's turns are taken.
    Beside --out goes what sets up the project: OUT.config.xml for Label Studio, OUT.labels.json for doccano.
    """
    problems: list[str] = []
    found = suggest(_rows(file, problems), load_classifier(model, norm, rules_only), split=not whole)
    if tool == "label-studio":
        tasks = list(progress(label_studio_tasks(found)))
        write_text(out, to_json(tasks, indent=1) + "\n")
        beside = out.with_name(out.name + ".config.xml")
        write_text(beside, label_studio_config())
        n = len(tasks)
    else:
        n = write_rows(out, progress(doccano_rows(found)))
        beside = out.with_name(out.name + ".labels.json")
        write_text(beside, to_json(doccano_labels(), indent=1) + "\n")
    click.echo(f"{n} sentences: {out}, {beside}")
    report_problems(problems)


@data.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--held-out",
    "held",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labelled sentences that will test a model: what stands there too is leakage.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="JSON with everything that was found.")
@click.option("--mask", "masked", type=click.Path(path_type=Path, dir_okay=False), help="Write the sentences with personal data masked.")
@click.option(
    "--out-of-fold",
    is_flag=True,
    help="Judge labels by a linear model fitted on the rest of the data: for data that the model was trained on.",
)
@norm_option
@model_option
@rules_option
@lang_option
@handled
def check_command(
    files: tuple[Path, ...], held: tuple[Path, ...], out: Path | None, masked: Path | None, out_of_fold: bool, norm: str, model: str | None, rules_only: bool, lang: str
) -> None:  # fmt: skip
    """Look labelled sentences over before they train: FILES are JSONL with "text" and "labels".

    Duplicates, conflicts, leakage, labels with few sentences, agreement of annotators, probable label errors, personal data; ids and
    counts, no text. With --rules-only no label errors are looked for. Exit code 1 if there are conflicts, repeated ids or leakage.
    """
    problems: list[str] = []
    examples = [e for path in files for e in read_examples(path, problems.append)]
    tests = [e for path in held for e in read_examples(path, problems.append)]
    if not examples:
        raise DataError(f"{', '.join(map(str, files))}: no labelled sentence")
    if out_of_fold:
        p = datacheck.out_of_fold(examples)
    else:
        p = None if rules_only else load_classifier(model, norm, False).predict_proba([e.text for e in examples])
    found = datacheck.check(examples, tests, p)
    if out:
        write_text(out, to_json(found, indent=1) + "\n")
    if masked:
        write_rows(masked, ({**e.to_dict(), "text": mask(e.text)} for e in examples))
    say = Reader(lang)
    kappa = {name: a["kappa"] for name, a in found["agreement"].items() if a["kappa"] is not None}
    rows = [[say.label(name), str(n), f"{kappa[name]:.2f}" if name in kappa else "–"] for name, n in found["labels"].items()]
    click.echo(table(say, rows, ["label", "sentences", "agreement"]))
    for key in ("few", "repeated_ids", "duplicates", "conflicts", "leakage", "probable_errors", "personal_data"):
        click.echo(f"{say(key)}: {len(found[key])}" + (f"   {to_json(found[key][:3])}" if found[key] else ""))
    report_problems(problems)
    sys.exit(int(any(found[key] for key in ("conflicts", "repeated_ids", "leakage"))))


@data.command("select")
@click.argument("file")
@click.option("--budget", type=click.IntRange(1), required=True, help="How many sentences to pick.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSONL, the most wanted first, each with its reason."
)
@click.option(
    "--known", multiple=True, type=click.Path(path_type=Path), help="Sentences labelled already: passed over, and counted for rare labels."
)
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(REASONS), default=USUAL, show_default=True)
@norm_option
@model_option
@handled
def select_command(
    file: str, budget: int, out: Path, known: tuple[Path, ...], strategies: tuple[str, ...], norm: str, model: str | None
) -> None:
    """Pick the sentences of FILE (as for `export`) that are worth labelling next."""
    problems: list[str] = []
    classifier = load_classifier(model, norm, False)
    pool = list(suggest(progress(_rows(file, problems)), classifier))
    labelled = [e for path in known for e in read_examples(path, problems.append)]
    counts = Counter(label for e in labelled for label in e.labels)
    sentences = [s.sentence.text for s in pool]
    chosen = select(
        sentences, classifier.predict_proba(sentences), budget, known=(e.text for e in labelled), counts=counts, strategies=strategies
    )
    n = write_rows(out, ({**pool[i].fields, "id": pool[i].id, "text": sentences[i], "reason": reason} for i, reason in chosen))
    click.echo(f"{n} of {len(pool)} sentences: {out}")
    report_problems(problems)


@data.command("verdicts")
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("verdicts", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSONL with id, text and labels in each line.")
@handled
def verdicts_command(predictions: Path, verdicts: Path, out: Path) -> None:
    """Reviewers' verdicts as labelled sentences.

    PREDICTIONS is what `svcnorm predict` or `svcnorm audit` wrote with --format jsonl; VERDICTS is JSONL or CSV with sentence (an id),
    label, verdict (right or wrong) and, if wanted, comment.
    """
    problems: list[str] = []
    rows = (row for _, row in read_rows(predictions, problems.append))
    examples = apply_verdicts(rows, read_verdicts(verdicts, problems.append), problems.append)
    write_rows(out, (e.to_dict() for e in examples))
    click.echo(f"{len(examples)} sentences: {out}")
    report_problems(problems)


def _rows(file: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    """The texts of a file of any kind that `export` takes."""
    path = Path(file)
    suffix = path.suffix.lower()
    if file != "-" and not path.is_file():
        raise DataError(f"{file}: no such file")
    if suffix == ".jsonl":
        _, first = next(read_rows(path, lambda problem: None), (0, {}))
        # a labelled sentence may know its call too, but has an id of its own
        calls = "turns" in first or (bool({"role", "speaker"} & first.keys()) and not {"id", "call_id"} <= first.keys())
    else:
        calls = suffix in SUFFIXES
    if calls:
        return agent_turns(read_calls(path, problems.append))
    return (row for row in texts(file, problems) if ROLE_WORDS.get(str(row.get("role")), row.get("role")) != "customer")
