"""What the commands share: options, texts to read, words in the reader's language, tables, progress, and the two ways to end badly."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import click

from svcnorm.classifier import Classifier
from svcnorm.errors import DataError, SvcnormError
from svcnorm.examples import not_utf8, read_rows
from svcnorm.labels import Group, find

WORDS = {  # English -> Chinese, for what people read; JSON keeps its English keys
    "label": "标签", "group": "类别", "meaning": "含义", "sentence": "句子", "labels": "标签", "probability": "概率", "source": "依据", "evidence": "证据",
    "clause": "条款", "severity": "严重程度", "say instead": "建议说法", "role": "角色", "step": "步骤", "status": "结果", "turn": "轮次", "rules": "规则",
    "forbidden": "禁止", "avoid": "避免", "standard": "规范", "recommended": "推荐", "passed": "符合", "missed": "缺失", "not_applicable": "不适用",
    "model": "模型", "rule": "规则", "both": "模型+规则", "review": "待复核", "agent": "坐席", "customer": "客户", "unknown": "未知", "call": "通话",
    "threshold": "阈值", "with a rule": "有规则时", "unsure from": "存疑下限", "unsure to": "存疑上限", "precision": "准确率", "recall": "召回率", "false alarms": "每千句误报", "any taboo": "任一忌语", "rules only": "仅规则", "norm": "规范", "name": "名称", "title": "标题", "judgement": "评判",
    "breaches": "违规", "steps": "流程步骤", "missing": "缺失",
    "capability": "能力", "cases": "用例", "wholly right": "全对", "noise": "噪声", "unchanged": "不变", "micro_f1": "micro-F1", "taboo_precision": "忌语准确率", "taboo_recall": "忌语召回率",
    "hits": "命中", "given": "给出/正确率", "added": "补充/正确率", "refused": "被模型否定/正确率", "no hit": "无命中", "changes": "处变化",
    "sentences": "句数", "agreement": "一致性", "few": "样本过少的标签", "repeated_ids": "重复编号", "duplicates": "重复句", "conflicts": "标注冲突", "leakage": "与测试集重复",
    "probable_errors": "疑似标错", "personal_data": "个人信息",
    "promoted": "启用时间", "by": "操作人", "parent": "前一模型", "commit": "提交",
}  # fmt: skip
COLOURS = {Group.COURTESY: "green", Group.HANDLING: "cyan", Group.TABOO: "red"}


class Reader:
    """Words in the language of the reader."""

    def __init__(self, lang: str):
        self.zh = lang == "zh"

    def __call__(self, word: str) -> str:
        return WORDS.get(word, word) if self.zh else word

    def label(self, name: str) -> str:
        label = find(name)
        return click.style(label.zh if self.zh else name, fg=COLOURS[label.group], bold=label.taboo)


def handled(command: Callable) -> Callable:
    """Prints an error that users can mend and exits with 2; anything else is our bug and shows its traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SvcnormError as e:
            click.echo(click.style("error: ", fg="red") + str(e), err=True)
            sys.exit(2)

    return run


lang_option = click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", envvar="SVCNORM_LANG", help="Language of what is printed."
)
norm_option = click.option(
    "--norm", default="base", show_default=True, metavar="NAME|FILE", help="A norm of `svcnorm norm list`, or your own YAML file."
)
model_option = click.option("--model", default=None, metavar="ID|DIR", help="A model folder; default: the one that comes with svcnorm.")
rules_option = click.option("--rules-only", is_flag=True, help="Work without the model; findings then carry no probability.")


def load_classifier(model: str | None, norm: str, rules_only: bool, threads: int | None = None) -> Classifier:
    return Classifier.from_rules(norm=norm) if rules_only else Classifier.load(model, norm=norm, threads=threads)


def progress(items: Iterable[Any]) -> Iterator[Any]:
    """Counts on standard error while output goes to a file."""
    shown = sys.stderr.isatty() and not sys.stdout.isatty()
    for n, item in enumerate(items, 1):
        yield item
        if shown and n % 100 == 0:
            click.echo(f"\r{n}", nl=False, err=True)
    if shown:
        click.echo("", err=True)


def texts(source: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Rows with "text" of a file (a text a line, or JSONL), of standard input (-), or of the text itself."""
    path = Path(source)
    try:
        is_file = source == "-" or path.is_file()
    except (OSError, ValueError):  # too long, or with a character that no file name has: a text
        is_file = False
    if not is_file:
        if path.suffix in (".jsonl", ".txt", ".csv") and len(source) < 256:
            raise DataError(f"{source}: no such file")
        return iter([{"text": source}])
    if path.suffix == ".jsonl":
        return _jsonl_texts(path, problems)
    return _lines(path, source == "-", problems)


def _jsonl_texts(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    for number, row in read_rows(path, problems.append):
        if isinstance(row.get("text"), str):
            yield row
        else:
            problems.append(f"{path}:{number}: 'text' must be a string, got {row.get('text')!r}")


def _lines(path: Path, stdin: bool, problems: list[str]) -> Iterator[dict[str, Any]]:
    with sys.stdin.buffer if stdin else path.open("rb") as f:
        for number, raw in enumerate(f, 1):
            try:
                text = raw.decode("utf-8-sig").rstrip("\r\n")
            except UnicodeDecodeError as e:
                problems.append(not_utf8(f"{'standard input' if stdin else path}:{number}", e))
                continue
            if text.strip():
                yield {"text": text}


def meter() -> Callable[[int, float], None] | None:
    """Shows rows, rows a second and time left on standard error, if that is a terminal. Takes the rows done and the share of the input read."""
    if not sys.stderr.isatty():
        return None
    begin: list[tuple[float, int, float]] = []

    def show(rows: int, share: float) -> None:
        now = time.monotonic()
        begin[:] = begin or [(now, rows, share)]  # what an earlier run did says nothing of this one's pace
        since, first, read = begin[0]
        seconds = now - since
        if rows > first and share > read:
            left = timedelta(seconds=round(seconds * (1 - share) / (share - read)))
            click.echo(f"\r{rows} rows, {(rows - first) / seconds:.0f}/s, {left} left ", nl=False, err=True)

    return show


def report_problems(problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(click.style("skipped: ", fg="yellow") + problem, err=True)
    if problems:
        sys.exit(2)


def judge_line(say: Reader, classifier: Classifier) -> str:
    return f"{say('model')}: {classifier.model or say('rules only')}   {say('norm')}: {classifier.norm.name}"


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with its Chinese readable, unless it holds a lone surrogate, which no output can take but as an escape.

    What JSON has no form for (the dates and decimals of a Parquet file) stands there as its text.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, default=str)
    return text


def display_width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in click.unstyle(text))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns. Styled text is left whole: it is short."""
    if display_width(text) <= width or "\x1b" in text:
        return [text]
    lines, line = [], ""
    for c in text:
        if display_width(line + c) > width:
            lines.append(line)
            line = ""
        line += c
    return [*lines, line]


def table(say: Reader, rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Columns padded by what a terminal shows: Chinese characters take two places."""
    cells = [[click.style(say(h), bold=True) for h in header], *rows]
    split = [[[line for part in cell.replace("\t", " ").split("\n") for line in wrap(part, 44)] for cell in row] for row in cells]
    widths = [max(display_width(line) for row in split for line in row[i]) for i in range(len(header))]
    out = []
    for row in split:
        for n in range(max(map(len, row))):
            line = [cell[n] if n < len(cell) else "" for cell in row]
            out.append("  ".join(text + " " * (w - display_width(text)) for text, w in zip(line, widths, strict=True)).rstrip())
    return "\n".join(out).encode(errors="replace").decode()  # a lone surrogate shows as ?
