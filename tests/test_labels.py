import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from svcnorm import LABELS, Group, LabelError
from svcnorm.labels import NAMES, digest, find, ordered, read_own

GUIDE = Path(__file__).parents[1] / "docs" / "labels.md"


def test_there_are_ten_courtesy_eleven_handling_and_ten_taboo_labels_in_that_order():
    assert [label.group for label in LABELS] == [Group.COURTESY] * 10 + [Group.HANDLING] * 11 + [Group.TABOO] * 10
    assert len(set(NAMES)) == 31


def test_the_guide_has_an_entry_for_every_label_with_its_chinese_name_and_in_the_same_order():
    entries = re.findall(r"^\| `(\w+)` \| (\S+) \|", GUIDE.read_text(encoding="utf-8"), re.M)
    assert entries == [(label.name, label.zh) for label in LABELS]


def test_an_unknown_label_is_named_with_its_nearest_neighbours():
    with pytest.raises(LabelError, match=r"unknown label 'apolgy'; did you mean apology"):
        find("apolgy")


def test_ordered_sorts_by_the_tuple_and_drops_repeats():
    assert ordered(["hold", "apology", "hold"]) == ("apology", "hold")


def test_the_digest_changes_with_order_and_content():
    assert len({digest(), digest(reversed(NAMES)), digest(NAMES[:-1])}) == 3


def test_no_other_module_spells_a_label():
    """LABELS is the only place: names come from it, or from data."""
    package = Path(__file__).parents[1] / "svcnorm"
    distinctive = [n for n in NAMES if "_" in n or n in ("apology", "pushback", "hedging", "courtesy_reply", "disparagement")]
    for module in package.glob("*.py"):
        if module.name != "labels.py":
            code = re.sub(r'""".*?"""', "", module.read_text(encoding="utf-8"), flags=re.S)
            assert not [n for n in distinctive if f'"{n}"' in code], module.name


def own(tmp_path, *rows):
    path = tmp_path / "labels.yaml"
    path.write_text(json.dumps({"labels": list(rows)}, ensure_ascii=False), encoding="utf-8")
    return path


UPSELLING = {"name": "upselling", "zh": "推销", "group": "handling", "meaning": "offers a further product", "meaning_zh": "推荐其他产品"}


def test_labels_of_ones_own_come_behind_the_shipped_ones(tmp_path):
    code = "from svcnorm.labels import LABELS, NAMES, find; print(NAMES[-1], len(LABELS), find('upselling').taboo)"
    env = {**os.environ, "SVCNORM_LABELS": str(own(tmp_path, UPSELLING))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["upselling", str(len(LABELS) + 1), "False"]


def test_a_file_of_ones_own_labels_is_refused_with_all_that_is_wrong_with_it(tmp_path):
    rows = [
        UPSELLING,
        {**UPSELLING, "name": "greeting"},
        {**UPSELLING, "name": "Über"},
        {**UPSELLING, "name": "x", "group": "sales"},
        {"name": "y"},
    ]
    with pytest.raises(LabelError) as e:
        read_own(own(tmp_path, *rows))
    lines = str(e.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["label 2", "label 3", "label 4", "label 5"]
    assert "courtesy, handling, taboo" in lines[2]
    with pytest.raises(LabelError, match="cannot be read"):
        read_own(tmp_path / "none.yaml")
    assert [x.name for x in read_own(own(tmp_path, UPSELLING))] == ["upselling"]
