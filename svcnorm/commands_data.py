"""`svcnorm data`: labelled sentences out of annotation tools, and sentences into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from svcnorm.calls import read_calls
from svcnorm.errors import DataError
from svcnorm.examples import ROLE_WORDS, read_rows, write_rows, write_text
from svcnorm.forms import FORMS
from svcnorm.labelling import read_labelled
from svcnorm.mapping import Mapping
from svcnorm.preannotation import agent_turns, doccano_labels, doccano_rows, label_studio_config, label_studio_tasks, suggest
from svcnorm.tables import SUFFIXES
from svcnorm.terminal import (
    handled,
    load_classifier,
    model_option,
    norm_option,
    progress,
    report_problems,
    rules_option,
    texts,
    to_json,
)


@click.group()
def data() -> None:
    """Labelled data: import it from annotation tools, export sentences to them (docs/labelling.md)."""


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
