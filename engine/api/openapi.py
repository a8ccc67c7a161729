"""The OpenAPI description, made from the routes and the wire models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from engine.api.problems import MEDIA_TYPE, ProblemBody, ProblemKind
from engine.api.routes import MAX_QUERY, Route
from engine.api.streams import EVENT_NAMES
from engine.tokens import Role

Json = dict[str, Any]

_OF_A_BODY = (
    ProblemKind.BAD_REQUEST,
    ProblemKind.MALFORMED_BODY,
    ProblemKind.BODY_TOO_LARGE,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE,
    ProblemKind.INVALID_REQUEST,
)
_OF_A_TOKEN = (ProblemKind.UNAUTHENTICATED, ProblemKind.FORBIDDEN)


def describe(routes: Iterable[Route], version: str) -> Json:
    """Return the whole description."""
    routes = tuple(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenken engine", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Json:
    operation: Json = {"summary": route.summary, "responses": _responses(route)}
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.files:
        operation["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": _form(route)}},
        }
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(route.body)}},
        }
    if route.role:
        operation["security"] = [{"token": []}]
        operation["description"] = f"For the role {route.role} and those above: {', '.join(Role)}."
    return operation


def _path_parameters(route: Route) -> Iterator[Json]:
    for name, pattern in route.path_patterns.items():
        schema = {"type": "string", "pattern": pattern}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterator[Json]:
    for name, meaning in route.query.items():
        schema = {"type": "string", "maxLength": MAX_QUERY}
        yield {"name": name, "in": "query", "description": meaning, "schema": schema}


def _form(route: Route) -> Json:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "format": "binary"} for name in route.files},
        "required": [name for name, required in route.files.items() if required],
        "additionalProperties": False,
    }


def _responses(route: Route) -> dict[str, Json]:
    responses = {str(status): _response(body, route, status) for status, body in route.answers.items()}
    kinds = {
        *(route.problems),
        *((ProblemKind.NOT_FOUND,) if route.path_patterns else ()),
        *((ProblemKind.INVALID_REQUEST,) if route.query else ()),
        *(_OF_A_BODY if route.body else ()),
        *(_OF_A_TOKEN if route.role else ()),
        ProblemKind.INTERNAL,
    }
    for status in sorted({kind.status for kind in kinds}):
        names = ", ".join(sorted(kind for kind in kinds if kind.status == status))
        responses[str(status)] = {
            "description": names,
            "content": {MEDIA_TYPE: {"schema": _reference(ProblemBody)}},
        }
    return responses


def _response(body: type[BaseModel] | str, route: Route, status: int) -> Json:
    if isinstance(body, str):
        kind = "object" if body == "application/json" else "string"
        return {"description": route.summary, "content": {body: {"schema": {"type": kind}}}}
    content: Json = {"application/json": {"schema": _reference(body)}}
    if route.streams and status == 200:
        names = ", ".join(EVENT_NAMES[event] for event in route.streams)
        content["text/event-stream"] = {"schema": {"type": "string", "description": f"Events: {names}."}}
    return {"description": _first_line(body), "content": content}


def _schemas(routes: Iterable[Route]) -> Mapping[str, Any]:
    models: set[type[BaseModel]] = {ProblemBody, *EVENT_NAMES}
    for route in routes:
        models.update(body for body in (route.body, *route.answers.values()) if isinstance(body, type))
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    definitions: Mapping[str, Any] = schema["$defs"]
    return definitions


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _first_line(model: type[BaseModel]) -> str:
    return re.sub(r"\s+", " ", (model.__doc__ or model.__name__).partition("\n")[0])
