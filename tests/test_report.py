"""The report as people see it: in a browser, on a phone, in two languages, and with nothing of the data taken for HTML."""

import shutil

import pytest

from svcnorm import assessment
from svcnorm.classifier import Classifier
from svcnorm.examples import Example
from svcnorm.norms import Norm
from svcnorm.report import pieces, render
from tests.fakes import FakeScorer

pytest.importorskip("sklearn")
EVIL = "<img src=x onerror=\"document.title='hit'\">抱歉' & <b>稍等</b>" + "很长" * 60
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def html():
    table = {"抱歉": {"apology": 0.9, "pushback": 0.6}, "您": {"hold": 0.3}}
    data = [Example("evil<1>", EVIL, ("apology", "hold"), {"kind": "hard", "domain": "bank"}), Example("2", "抱歉", ("apology",), {"kind": "<i>", "domain": "bank"}),
            Example("3", "您这边", ("hold",), {"kind": "asr", "domain": "bank"})]  # fmt: skip
    old, new = (assessment.measure(c, data) for c in (Classifier.from_rules(), Classifier(FakeScorer(table), Norm.load("base"))))
    comparison = assessment.compare(old, new, repeats=20)
    comparison["gates"] = assessment.check_gates([{"figure": "macro_f1", "min": 0.99}], comparison)
    return render(assessment.describe(new, repeats=20), assessment.errors(new), comparison, title="<script>alert(1)</script>")


def test_text_of_the_data_is_never_html(html):
    assert "<img" not in html
    assert "<b>稍等" not in html
    assert "<i>" not in html
    assert html.count("<script") == 1
    assert "&lt;img src=x onerror=" in html


def test_the_report_needs_nothing_from_outside(html):
    assert "http" not in html
    assert "src=" not in html.replace("src=x onerror", "")


def test_rules_alone_have_a_report_without_curves():
    m = assessment.measure(Classifier.from_rules(), [Example("1", "对不起", ("apology",)), Example("2", "喂", ("greeting",))])
    html = render(assessment.describe(m, repeats=5), assessment.errors(m))
    assert "准确率–召回率曲线" not in html
    assert 'data-missed="greeting"' in html


def test_evidence_is_cut_out_of_the_text_where_it_lies():
    error = {"text": "abcdef", "evidence": [{"start": 1, "end": 4, "rule": "r1"}, {"start": 3, "end": 5, "rule": "r2"}]}
    assert pieces(error) == [("a", []), ("bc", ["r1"]), ("d", ["r1", "r2"]), ("e", ["r2"]), ("f", [])]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium fonts-noto-cjk)")
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_nothing_overflows_and_no_script_of_the_data_runs(browser, html, tmp_path, width, locale):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800}, locale=locale)
    problems = []
    page.on("pageerror", lambda e: problems.append(e))
    page.on("request", lambda r: r.url.startswith("file:") or problems.append(r.url))
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide') && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))"
    assert page.evaluate(outside) == []
    assert page.title() == "<script>alert(1)</script>"
    assert problems == []
    assert page.get_by_role("heading", name="Errors" if locale == "en-US" else "错误句子").is_visible()
    page.click("#lang")
    assert page.get_by_role("heading", name="Errors" if locale == "zh-CN" else "错误句子").is_visible()


@pytest.mark.slow
def test_the_filter_shows_what_it_says(browser, html, tmp_path):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    page = browser.new_page(locale="zh-CN")
    page.goto((tmp_path / "report.html").as_uri())
    rows, shown = page.locator(".error"), page.locator(".error:visible")
    everything = rows.count()
    assert shown.count() == everything == 3
    page.select_option("#label", "pushback")
    assert shown.count() == 2
    page.select_option("#how", "missed")
    assert shown.count() == 0
    page.select_option("#label", "hold")
    assert shown.count() == 2
    assert page.inner_text("#shown") == "2"
    page.select_option("#label", "")
    page.select_option("#how", "")
    page.fill("#find", "很长很长")
    assert shown.count() == 1
