"""The OpenAPI document: the routes, and for each live use case its own request and answer with units and ranges."""

from __future__ import annotations

from typing import TypedDict, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from roundtrip.serving.gateway.deadlines import LONGEST_MS
from roundtrip.serving.gateway.live_model import LiveModel
from roundtrip.serving.gateway.problems import PROBLEM_CONTENT, TITLES, ProblemDetails
from roundtrip.serving.gateway.v2_protocol import InferRequest
from roundtrip.serving.http_headers import DEADLINE

Document = dict[str, object]


class _Parameter(TypedDict):
    name: str
    schema: Document


PREDICT_PROBLEMS = (400, 401, 403, 404, 406, 413, 415, 422, 429, 503, 504)

DEADLINE_PARAMETER: Document = {
    "name": DEADLINE,
    "in": "header",
    "required": False,
    "description": "Milliseconds that you wait for the answer: after that there is none (504), and nothing more is done for it.",
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_MS},
}


def openapi_document(app: FastAPI, models: dict[str, LiveModel]) -> Document:
    """The document as of now: it changes when a use case goes live or its contract changes, so it is never cached."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags)
    paths, schemas = document["paths"], document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_definitions(InferRequest, ProblemDetails))
    infer = paths["/v2/models/{use_case}/infer"]["post"]
    infer["requestBody"] = {"required": True, "content": _json(_reference(InferRequest))}
    infer["parameters"].append(DEADLINE_PARAMETER)
    _name_use_cases(paths, sorted(models))
    for name, model in sorted(models.items()):
        schemas.update(_definitions(model.request, model.response))
        paths[f"/v1/models/{name}:predict"] = {"post": _predict_operation(name, model)}
    return document


def _name_use_cases(paths: dict[str, dict[str, Document]], names: list[str]) -> None:
    """Let the parameter `use_case` offer those that have a live version."""
    for operation in (operation for path in paths.values() for operation in path.values()):
        for parameter in cast(list[_Parameter], operation.get("parameters", [])):
            if parameter["name"] == "use_case" and names:
                parameter["schema"]["enum"] = names


def _predict_operation(name: str, model: LiveModel) -> Document:
    return {
        "tags": ["predict"],
        "summary": f"Predict with version {model.released.version} of {name}",
        "operationId": f"predict_{name}",
        "security": [{"APIKeyHeader": []}],
        "parameters": [DEADLINE_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(model.request), "example": {"instances": [model.contract.example()]}}},
        },
        "responses": {
            "200": {
                "description": "Predictions, in the order of the instances",
                "content": {"application/json": {"schema": _reference(model.response)}},
            },
            **{str(status): {"description": TITLES[status], "content": PROBLEM_CONTENT} for status in PREDICT_PROBLEMS},
        },
    }


def _definitions(*models: type[BaseModel]) -> Document:
    _, defined = models_json_schema([(model, "validation") for model in models], ref_template="#/components/schemas/{model}")
    return defined["$defs"]


def _json(schema: dict[str, str]) -> Document:
    return {"application/json": {"schema": schema}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
