"""The labels: the only place in the project where a label is spelled.

`LABELS` is append-only. Its order is the order of the model's columns; `digest()` of it is written into every bundle and evaluation.
What each label covers, with its boundary cases, is in docs/labels.md. Labels of one's own come behind the shipped ones, from the YAML file
that the environment variable SVCNORM_LABELS names (docs/retraining.md); it is read once, when svcnorm is imported.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from svcnorm.errors import LabelError


class Group(str, Enum):
    """What a label is about."""

    COURTESY = "courtesy"
    HANDLING = "handling"
    TABOO = "taboo"

    @property
    def zh(self) -> str:
        return {"courtesy": "礼貌用语", "handling": "业务处理", "taboo": "服务忌语"}[self.value]


@dataclass(frozen=True, slots=True)
class Label:
    """A function that an agent's sentence can have. A sentence carries a set of them, possibly none."""

    name: str
    zh: str
    group: Group
    meaning: str
    meaning_zh: str

    @property
    def taboo(self) -> bool:
        return self.group is Group.TABOO


_C, _H, _T = Group.COURTESY, Group.HANDLING, Group.TABOO

SHIPPED: tuple[Label, ...] = (
    Label("greeting", "问候", _C, "opens with a salutation or welcome", "开场问好、欢迎、节日问候"),
    Label("identification", "自报家门", _C, "names the organisation, department, own name or staff number", "报出单位、部门、姓名或工号"),
    Label("offer_help", "主动征询", _C, "asks what, or what else, the customer needs", "询问需要什么帮助、还有什么需要"),
    Label("gratitude", "致谢", _C, "thanks the customer", "感谢来电、等待、理解、建议"),
    Label("courtesy_reply", "回礼", _C, "answers thanks, an apology or praise politely", "对客户的感谢、道歉、夸奖作礼貌回应"),
    Label("apology", "致歉", _C, "says sorry or asks forgiveness", "道歉或请求谅解"),
    Label("empathy", "安抚", _C, "recognises or soothes feelings or trouble", "体察、安抚客户的情绪或困难"),
    Label("compliment", "赞美", _C, "sincerely praises the customer", "真诚称赞客户"),
    Label("farewell", "道别", _C, "says goodbye or wishes well at parting", "再见或临别祝愿"),
    Label("survey", "邀请评价", _C, "invites the customer to rate the service", "邀请客户评价服务"),
    Label("acknowledgement", "应答", _H, "shows listening, understanding or agreement", "表示在听、明白或同意"),
    Label("confirmation", "复述确认", _H, "restates or checks a stated fact with the customer", "复述客户所说或核对事实"),
    Label("clarification", "请求重复", _H, "asks to repeat or speak up, checks the line", "请客户重复、大声，或确认线路"),
    Label("inquiry", "询问信息", _H, "asks for information that is needed", "询问办理所需的信息"),
    Label("request", "请求配合", _H, "courteously asks the customer to do something", "有礼貌地请客户做某事"),
    Label("hold", "等待提示", _H, "asks to wait on the line, or says a look-up is under way", "请客户稍等，或说明正在查询"),
    Label("explanation", "解释答复", _H, "gives information: answer, policy, result, reason, steps", "告知答案、政策、结果、原因、步骤"),
    Label("consultation", "商议建议", _H, "proposes and asks consent, advises, offers a choice", "商量、建议、给出选择"),
    Label("commitment", "承诺跟进", _H, "promises an action or a reply by its side", "承诺办理、反映或回复"),
    Label("referral", "转接指引", _H, "transfers, or points to another number, place or channel", "转接，或指引到其他号码、地点、渠道"),
    Label("boundary", "文明提醒", _H, "warns about abuse, or ends an abusive or silent call by the book", "按规范提醒文明用语或结束骚扰、无声来电"),
    Label("rudeness", "粗鲁侮辱", _T, "insults, mocks, threatens, provokes, swears", "侮辱、嘲讽、威胁、挑衅、脏话"),
    Label("impatience", "不耐烦", _T, "hurries, cuts in, is weary of the customer's slowness, repetition or fault", "催促、厌烦、打断、埋怨"),
    Label("interrogation", "质问反问", _T, "asks a rhetorical or accusing question", "用反问、责问让客户理亏"),
    Label("command", "命令", _T, "gives a bare order or prohibition", "生硬地命令或禁止"),
    Label("contradiction", "争辩否定", _T, "denies or argues, insists on being right", "否认、争辩、坚持自己没错"),
    Label("pushback", "推诿", _T, "shirks: no way, not my job, complaining is useless, go elsewhere", "推卸：没办法、不归我管、投诉没用、找别人"),
    Label("blunt_refusal", "生硬回绝", _T, "flatly refuses or does not know, with no courteous reason and no alternative", "生硬地说不知道、不行、没有、这是规定"),
    Label("hedging", "模棱两可", _T, "answers vaguely where a definite answer is due", "该明确时含糊作答"),
    Label("casual", "随意用语", _T, "speaks in an unprofessional register", "口语俚俗、方言、网络用语等不专业说法"),
    Label("disparagement", "贬损本方", _T, "runs down its own company, colleagues, superiors or product", "贬低本公司、同事、领导或产品"),
)  # fmt: skip

OWN_FILE = "SVCNORM_LABELS"


def read_own(path: Path) -> tuple[Label, ...]:
    """Labels of a YAML file: `labels:` with a list of {name, zh, group, meaning, meaning_zh}. Raises `LabelError` with every problem."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise LabelError(f"{path}: cannot be read as YAML: {e}") from None
    rows = content.get("labels") if isinstance(content, dict) else None
    keys, groups = ("name", "zh", "group", "meaning", "meaning_zh"), [g.value for g in Group]
    if not isinstance(rows, list) or not rows:
        raise LabelError(f"{path}: `labels:` with a list of {{{', '.join(keys)}}} is expected")
    problems, taken = [], {x.name for x in SHIPPED}
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict) or set(row) != set(keys) or not all(isinstance(v, str) and v for v in row.values()):
            problems.append(f"label {n}: texts for {', '.join(keys)} are expected, got {row!r}")
        elif not re.fullmatch("[a-z][a-z_]*", row["name"]) or row["name"] in taken:
            problems.append(f"label {n}: {row['name']!r} is taken, or not made of small letters and underscores")
        elif row["group"] not in groups:
            problems.append(f"label {n}: group is one of {', '.join(groups)}, got {row['group']!r}")
        else:
            taken.add(row["name"])
    if problems:
        raise LabelError("\n".join(f"{path}: {p}" for p in problems))
    return tuple(Label(**{**row, "group": Group(row["group"])}) for row in rows)


LABELS: tuple[Label, ...] = (*SHIPPED, *(read_own(Path(os.environ[OWN_FILE])) if os.environ.get(OWN_FILE) else ()))
NAMES: tuple[str, ...] = tuple(label.name for label in LABELS)
_INDEX = {name: i for i, name in enumerate(NAMES)}


def find(name: str) -> Label:
    """The label of that name. Raises `LabelError`, with near names, if there is none."""
    if (i := _INDEX.get(name)) is None:
        near = difflib.get_close_matches(str(name), NAMES, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else f"; the labels are {', '.join(NAMES)}"
        raise LabelError(f"unknown label {name!r}{hint}")
    return LABELS[i]


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """The names once each, in the order of `LABELS`. Raises `LabelError` for an unknown one."""
    return tuple(NAMES[i] for i in sorted({_INDEX[find(name).name] for name in names}))


def digest(names: Iterable[str] = NAMES) -> str:
    """A short fingerprint of a label set and its order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
