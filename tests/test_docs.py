"""What the documents show runs, and what they point to is there."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCUMENTS = [p for p in ROOT.rglob("*.md") if not any(part in (".venv", "build", "dist") for part in p.relative_to(ROOT).parts)]
READMES = ["README.md", "README.zh-CN.md"]


@pytest.mark.parametrize("name", READMES)
def test_the_code_of_the_readme_runs(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
    assert "pushback" in capsys.readouterr().out


def test_both_readmes_have_the_same_commands_and_headings():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in READMES]
    assert len({len(re.findall(r"^## ", t, re.M)) for t in texts}) == 1
    assert len({tuple(re.findall(r"^(?:make|svcnorm) [a-z]+", "".join(re.findall(r"```.*?```", t, re.S)), re.M)) for t in texts}) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_norm_of_the_format_document_is_accepted(tmp_path):
    from svcnorm import Norm

    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "norms.md").read_text(encoding="utf-8"), re.S)
    body = yaml.safe_load(block)
    body["drop"] = [Norm.load("base").rules[0].id]
    path = tmp_path / "our_centre.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    assert Norm.load(path).problems() == []


def test_every_make_target_of_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    asked = {t for p in DOCUMENTS for t in re.findall(r"`make ([a-z-]+)", p.read_text(encoding="utf-8"))}
    assert asked <= targets


def test_the_constraints_pin_every_dependency():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["bulk"], *extras["train"], *extras["dev"]]
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    names = {re.match(r"[\w-]+", w)[0].lower() for w in wanted} - {"svcnorm"}
    assert names <= pinned
