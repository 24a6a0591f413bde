"""The service's answers as pydantic models, for its OpenAPI schema: what `to_dict` gives, field by field (a test holds them together)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from svcnorm.calls import Role, Status
from svcnorm.labels import NAMES, Group
from svcnorm.results import FORMAT, Severity, Source


class Evidence(BaseModel):
    rule: str
    start: int
    end: int
    text: str
    clause: str | None


class Finding(BaseModel):
    label: Literal[NAMES]
    group: Group
    source: Source
    probability: Annotated[float, Field(ge=0, le=1)] | None
    severity: Severity | None
    clause: str | None
    say_instead: str | None
    evidence: list[Evidence]


class Sentence(BaseModel):
    id: str = Field(description="The same for the same sentence of the same text, model and norm.")
    text: str
    start: int
    end: int
    labels: list[Literal[NAMES]]
    findings: list[Finding]
    unsure: list[Literal[NAMES]]
    needs_review: bool


class Prediction(BaseModel):
    format: Literal[FORMAT]
    text: str
    norm: str
    norm_version: str
    model: str | None = Field(description="The model's id; null says that rules alone decided.")
    needs_review: bool
    sentences: list[Sentence]


class Predictions(BaseModel):
    predictions: list[Prediction]


class LabelledTurn(BaseModel):
    role: Role
    text: str
    sentences: list[Sentence] = Field(default_factory=list, description="Absent from the customer's turns.")


class Step(BaseModel):
    step: str
    title: str
    status: Status
    severity: Severity | None
    clause: str | None
    say_instead: str | None
    turns: list[int]


class Breach(Finding):
    turn: int


class CallAudit(BaseModel):
    format: Literal[FORMAT]
    call_id: str
    norm: str
    norm_version: str
    model: str | None
    turns: list[LabelledTurn]
    steps: list[Step]
    breaches: list[Breach]


class Health(BaseModel):
    live: bool
    ready: bool = Field(description="Whether a request would be taken; if not, the status is 503.")
    open: int = Field(description="Texts that are accepted and not answered.")


class Version(BaseModel):
    svcnorm: str
    model: str | None
    norm: str
    norm_version: str
    labels_digest: str


class Problem(BaseModel):
    detail: str = Field(description="What is wrong, without the text.")
