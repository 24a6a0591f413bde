import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from fakes import FakeScorer

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")
import uvicorn
from fastapi.testclient import TestClient

from svcnorm import Classifier, Norm, __version__, schema
from svcnorm.calls import Call, Turn, audit
from svcnorm.cli import main
from svcnorm.labels import digest
from svcnorm.serve import Limits, Server, create_app

LIMITS = {"max_wait_ms": 0, "max_batch": 8, "max_queue": 20, "max_body": 4000, "max_chars": 40, "max_texts": 5, "timeout": 10}
SECRET = "暗号七四一"  # stands for what nobody but the caller may see again
TEXT = "您好。没办法，你投诉也没用"
TURNS = [("agent", "您好"), ("customer", "我要投诉"), ("agent", "没办法，你投诉也没用"), ("unknown", "稍等")]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    words = {"您好": {"greeting": 0.9}, "没办法": {"pushback": 0.9, "hedging": 0.4}}
    return Classifier(FakeScorer(words), Norm.load("gov_hotline_96128"))


@pytest.fixture(scope="module")
def client(classifier):
    with TestClient(create_app(classifier, Limits(**LIMITS))) as client:
        yield client


def test_answers_are_those_of_the_library(client, classifier):
    assert client.post("/predict", json={"text": TEXT}).json() == classifier.predict(TEXT).to_dict()
    assert client.post("/predict", json={"text": TEXT, "split": False}).json() == classifier.predict(TEXT, split=False).to_dict()
    many = client.post("/predict_many", json={"texts": [TEXT, "", "好"], "split": False}).json()["predictions"]
    assert many == [p.to_dict() for p in classifier.predict_many([TEXT, "", "好"], split=False)]
    assert client.post("/predict_many", json={"texts": []}).json() == {"predictions": []}


def test_a_call_is_audited_in_the_words_that_files_of_calls_may_use(client, classifier):
    expected = audit(Call("7", tuple(Turn(*t) for t in TURNS)), classifier).to_dict()
    assert expected["breaches"]
    assert client.post("/audit", json={"call_id": "7", "turns": [{"role": r, "text": t} for r, t in TURNS]}).json() == expected
    words = {"agent": "坐席", "customer": "客户", "unknown": ""}
    assert client.post("/audit", json={"id": 7, "turns": [{"speaker": words[r], "text": t} for r, t in TURNS]}).json() == expected


@pytest.mark.parametrize("bundled", [True, False], ids=["model", "rules"])
def test_the_schema_has_every_field_of_an_answer_and_no_other(bundled, classifier):
    judge = classifier if bundled else Classifier.from_rules(norm="gov_hotline_96128")
    prediction = judge.predict(TEXT).to_dict()
    call = audit(Call("7", tuple(Turn(*t) for t in TURNS)), judge).to_dict()
    assert any(f["evidence"] for s in prediction["sentences"] for f in s["findings"])
    for model, answer in ((schema.Prediction, prediction), (schema.CallAudit, call)):
        assert model.model_validate(answer).model_dump(mode="json", exclude_unset=True) == answer


def test_the_openapi_document_has_titles_types_and_examples_that_work(client):
    document = client.get("/openapi.json").json()
    assert document["info"] | {"description": ""} == {"title": "svcnorm", "version": __version__, "description": ""}
    assert set(document["paths"]) == {"/predict", "/predict_many", "/audit", "/health", "/version"}
    parts = document["components"]["schemas"]
    assert all(part["title"] for part in parts.values())
    for path, model in (("/predict", "Prediction"), ("/predict_many", "Predictions"), ("/audit", "CallAudit")):
        post = document["paths"][path]["post"]
        answer = post["responses"]["200"]["content"]["application/json"]
        assert answer["schema"]["$ref"].endswith(f"/{model}")
        assert {"413", "422", "503"} <= set(post["responses"])
        body = example(post["requestBody"]["content"]["application/json"]["schema"], parts)
        assert client.post(path, json=body).status_code == 200
    assert parts["PredictRequest"]["properties"]["text"]["maxLength"] == 40
    shown = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert shown == client.post("/predict", json={"text": shown["text"]}).json()


def example(part: dict, parts: dict):
    """A value made of the examples and defaults of a schema."""
    if "$ref" in part:
        part = parts[part["$ref"].rpartition("/")[2]]
    if "examples" in part:
        return part["examples"][0]
    if part["type"] == "array":
        return [example(part["items"], parts)]
    return {name: example(p, parts) for name, p in part["properties"].items()} if part["type"] == "object" else part["default"]


def test_the_version_says_what_answers(client, classifier):
    assert client.get("/version").json() == {
        "svcnorm": __version__,
        "model": "fake",
        "norm": classifier.norm.name,
        "norm_version": classifier.norm.version,
        "labels_digest": digest(),
    }
    assert client.get("/health").json() == {"live": True, "ready": True, "open": 0}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/predict", {"text": SECRET * 9}, 422, "body.text: String should have at most 40 characters"),
        ("/predict_many", {"texts": ["好", SECRET * 9]}, 422, "body.texts.1: String should have at most 40 characters"),
        ("/predict_many", {"texts": [SECRET] * 6}, 422, "body.texts: List should have at most 5 items"),
        ("/predict_many", {"texts": [SECRET] * 600}, 413, "Content Too Large"),
        ("/predict", {"text": [SECRET]}, 422, "body.text: Input should be a valid string"),
        ("/predict", {"text": f"\ud800{SECRET}"}, 422, "body.text"),
        ("/predict", {"txt": SECRET}, 422, "body.text: Field required"),
        ("/predict", {"text": "好", "split": SECRET}, 422, "body.split: Input should be a valid boolean"),
        ("/predict", SECRET, 422, "body: Input should be"),
        ("/audit", {"turns": [{"role": SECRET, "text": "好"}]}, 422, "Input should be 'agent', 'customer' or 'unknown'"),
        ("/audit", {"turns": [{"role": "agent", "text": {SECRET: 1}}]}, 422, "body.turns.0.text"),
        ("/audit", {"turns": [{"role": "agent", "text": SECRET}] * 6}, 422, "body.turns: List should have at most 5 items"),
        ("/predict", f'{{"text": "{SECRET}"'.encode(), 422, "JSON decode error"),
        ("/predict", f'{{"text": "{SECRET}"}}'.encode("gb18030"), 400, "parsing the body"),
        ("/nowhere", {"text": SECRET}, 404, "Not Found"),
    ],
)
def test_what_is_refused_is_told_why_without_its_text(client, path, body, status, words):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert words in answer.text
    assert SECRET not in answer.text + answer.content.decode("unicode_escape")


def test_a_body_that_is_not_declared_as_json_is_refused_with_the_remedy(client):
    answer = client.post("/predict", content=json.dumps({"text": SECRET}), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]
    assert SECRET not in answer.text


def test_a_body_that_grows_too_large_without_a_declared_length_is_refused(client):
    answer = client.post("/predict", content=iter([b'{"text": "'] + [b"x" * 1000] * 5), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


class Held(FakeScorer):
    """Waits until it may go on."""

    def __init__(self):
        super().__init__({})
        self.begun, self.go = threading.Event(), threading.Event()

    def probabilities(self, sentences, batch_size=32):
        self.begun.set()
        assert self.go.wait(10)
        return super().probabilities(sentences, batch_size)


@pytest.fixture
def held():
    """A client whose server has taken the first batch and is not done with it."""
    scorer = Held()
    scorer.go.set()

    def start(**limits):
        app = create_app(Classifier(scorer, Norm.load("base")), Limits(**LIMITS | limits))
        scorer.go.clear()
        scorer.begun.clear()
        return TestClient(app)

    yield SimpleNamespace(scorer=scorer, start=start)
    scorer.go.set()


def test_a_full_queue_is_503_with_retry_after_and_what_was_accepted_is_answered(held):
    with held.start(max_queue=2) as client, ThreadPoolExecutor() as threads:
        accepted = threads.submit(client.post, "/predict_many", json={"texts": ["好", "行"]})
        assert held.scorer.begun.wait(10)
        refused = client.post("/predict", json={"text": SECRET})
        health = client.get("/health")
        held.scorer.go.set()
        assert accepted.result().status_code == 200
        assert client.get("/health").status_code == 200
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "too many texts are waiting" in refused.json()["detail"]
    assert SECRET not in refused.text
    assert (health.status_code, health.json()) == (503, {"live": True, "ready": False, "open": 2})


def test_a_server_that_stops_asks_its_clients_to_leave(classifier):
    with TestClient(create_app(classifier, Limits(**LIMITS))) as client:
        assert "connection" not in client.get("/health").headers
        client.app.state.stopping = True
        assert client.get("/health").headers["connection"] == "close"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_that_is_not_accepted_yet_when_the_server_stops_is_served(classifier, loop):
    async def main(listener):
        server = Server(config := uvicorn.Config(create_app(classifier, Limits(**LIMITS)), log_config=None, ws="none"))
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        connections = [
            socket.create_connection(listener.getsockname(), timeout=10) for _ in range(3)
        ]  # the loop has no turn to accept them
        for connection in connections:
            connection.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.shutdown([listener])
        return [(connection.recv(12), connection.close())[0] for connection in connections]

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner,
    ):
        listener.setblocking(False)
        assert runner.run(main(listener)) == [b"HTTP/1.1 200"] * 3


def test_a_request_that_takes_too_long_is_given_up_with_503(held):
    with held.start(timeout=0.05) as client:
        answer = client.post("/predict", json={"text": "好"})
        held.scorer.go.set()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "no answer within 0.05 s" in answer.json()["detail"]


def test_an_address_that_is_taken_and_a_missing_extra_are_errors_that_say_what_to_do(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, ["serve", "--rules-only", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 2
    assert "choose another --host or --port" in result.stderr
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "svcnorm.serve")
    result = CliRunner().invoke(main, ["serve", "--rules-only"])
    assert result.exit_code == 2
    assert "install svcnorm[serve]" in result.stderr


# --- a real process --------------------------------------------------------------------------------------------------------------

SERVER = """
import svcnorm.cli, svcnorm.calls, svcnorm.serve
from svcnorm import Classifier
class Brittle(Classifier):
    def scored_many(self, texts, **kwargs):
        texts = list(texts)
        if any("坏" in t for t in texts):
            raise ValueError(f"cannot take {texts}")
        return super().scored_many(texts, **kwargs)
def broken(call, *_):
    raise ValueError(f"cannot take {call}")
svcnorm.calls.audit = broken
svcnorm.cli.load_classifier = lambda *_, **__: Brittle.from_rules()
svcnorm.cli.main()
"""


class Process:
    """`svcnorm serve` in a process of its own, with a classifier that raises over 坏 and an audit that always does."""

    def __init__(self, log: Path, *args: str):
        self.log = log
        with log.open("w") as out:
            command = [sys.executable, "-X", "utf8", "-c", SERVER, "serve", "--port", "0", *args]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=Path(__file__).parents[1])
        self.url = ""
        while not self.url:
            assert self.process.poll() is None, log.read_text()
            found = re.search(r"http://[\d.]+:\d+", log.read_text())
            self.url = found.group() if found and "startup complete" in log.read_text() else ""
            time.sleep(0.02)

    def ask(self, path: str, body: bytes | dict | None = None, kind: str = "application/json") -> tuple[int, str]:
        data = json.dumps(body, ensure_ascii=False).encode() if isinstance(body, dict) else body
        try:
            with urlopen(Request(self.url + path, data, {"Content-Type": kind}), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as e:
            return e.code, e.read().decode()


@pytest.fixture
def server(tmp_path):
    made = []

    def start(*args):
        made.append(Process(tmp_path / "log", *args))
        return made[-1]

    yield start
    for s in made:
        s.process.kill()
        s.process.wait()


def test_no_text_is_in_what_a_server_prints(server):
    s = server("--max-body", "3000", "--max-chars", "100")
    secret = "MARKED741"
    assert s.ask("/predict", {"text": secret + "您好"})[0] == 200
    refused = [
        s.ask(f"/predict?text={secret}", {"text": f"坏{secret}"}),
        s.ask("/audit", {"call_id": secret, "turns": [{"role": "agent", "text": secret}]}),
        s.ask("/predict", {"text": [secret]}),
        s.ask("/predict", {"text": secret * 20}),
        s.ask("/predict", {"text": secret * 2000}),
        s.ask("/predict", f'{{"text": "{secret}'.encode()),
        s.ask("/predict", f"text={secret}".encode(), "application/x-www-form-urlencoded"),
        s.ask(f"/{secret}", {"text": secret}),
        s.ask(f"/predict/{secret}?{secret}"),
    ]
    assert [status for status, _ in refused] == [500, 500, 422, 422, 413, 422, 422, 404, 404]
    assert secret not in "".join(body for _, body in refused)
    s.process.terminate()
    assert s.process.wait(20) == 0
    printed = s.log.read_text(encoding="utf-8")
    assert secret not in printed
    assert "could not be labelled" in printed  # the two errors are there,
    assert printed.count("ValueError") == 2
    assert printed.count("in scored_many") + printed.count("in broken") == 2  # with their place


def test_on_sigterm_every_accepted_request_is_answered_and_no_other_is_accepted(server):
    s = server("--max-wait-ms", "1000", "--max-batch", "64")
    with ThreadPoolExecutor(12) as threads:
        answers = [threads.submit(s.ask, "/predict", {"text": f"您好{n}"}) for n in range(12)]
        while json.loads(s.ask("/health")[1])["open"] < 12:
            time.sleep(0.01)
        s.process.terminate()
        while "Shutting down" not in s.log.read_text():
            time.sleep(0.01)
        assert not any(a.done() for a in answers)
        with pytest.raises((URLError, ConnectionError)):  # refused, or reset
            s.ask("/health")
        found = [a.result() for a in answers]
    assert [status for status, _ in found] == [200] * 12
    assert [json.loads(body)["text"] for _, body in found] == [f"您好{n}" for n in range(12)]
    assert s.process.wait(20) == 0
