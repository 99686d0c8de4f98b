"""The OpenAPI document, made from the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecom_analytics import __version__
from ecom_analytics.answers import Column, Route

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "day": {"type": ["string", "null"], "format": "date"},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "whole": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def document(routes: Mapping[str, Route], root: str, *, protected: bool = False) -> dict[str, Any]:
    """OpenAPI 3.1 of the routes.

    Parameters
    ----------
    routes : mapping
        Path → route.
    root : str
        Address below which they lie.
    protected : bool
        Whether one must say who asks.
    """
    paths: dict[str, Any] = {}
    for path, route in routes.items():
        paths[f"/{path}"] = {"get": _operation(route, as_csv=False)}
        if not path.endswith(".zip"):
            paths[f"/{path}.csv"] = {"get": _operation(route, as_csv=True)}
    schemes = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ecom-analytics",
            "version": __version__,
            "description": "Figures of the served build. Every answer has an ETag; within v1 changes only add.",
        },
        "servers": [{"url": root}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _problem(), "Meta": _meta()},
            **({"securitySchemes": schemes} if protected else {}),
        },
        **({"security": [{"bearer": []}, {"basic": []}]} if protected else {}),
    }


def _operation(route: Route, *, as_csv: bool) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    for part in route.parts:
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if part in route.choices:
            schema = {"type": "string", "enum": list(route.choices[part])}
        parameters.append({"name": part, "in": "path", "required": True, "schema": schema})
    parameters += [
        {
            "name": parameter.name,
            "in": "query",
            "description": parameter.about,
            "required": False,
            "schema": parameter.schema(),
            **({"explode": True, "style": "form"} if parameter.many else {}),
        }
        for parameter in route.parameters
    ]
    words = route.path.translate({ord("{"): None, ord("}"): None}).replace("/", "_").replace(".", "_")
    return {
        "operationId": f"{words}_csv" if as_csv else words,
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer.", "content": _content(route, as_csv=as_csv), "headers": _HEADERS},
            "304": {"description": "As it was when the ETag was given."},
            "400": {"description": "A parameter is unknown, or has a bad value.", "content": _PROBLEM},
            "401": {"description": "One must say who asks.", "content": _PROBLEM},
            "403": {"description": "Not for whoever asks.", "content": _PROBLEM},
            "404": {"description": "There is no such thing.", "content": _PROBLEM},
            "405": {"description": "Only GET and HEAD.", "content": _PROBLEM},
            "429": {"description": "Too many requests.", "content": _PROBLEM},
            "503": {"description": "Nothing was published yet, or the query took too long.", "content": _PROBLEM},
        },
    }


_HEADERS = {"ETag": {"description": "Of the build and the question.", "schema": {"type": "string"}}}


def _content(route: Route, *, as_csv: bool) -> dict[str, Any]:
    if route.path.endswith(".zip"):
        return {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    if as_csv:
        return {"text/csv": {"schema": {"type": "string"}}}
    data: dict[str, Any] = {"type": ["object", "array"]}
    if route.columns:
        rows = {"type": "array", "items": _row(route.columns)}
        data = {"anyOf": [rows, {"type": "object"}]} if route.parts or route.path in _IN_OBJECTS else rows
    schema = {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": data, "meta": {"$ref": "#/components/schemas/Meta"}},
    }
    return {"application/json": {"schema": schema}}


_IN_OBJECTS = ("carts", "cohorts", "rfm", "attribution")
"""Routes whose data are an object that holds the rows."""


def _row(columns: tuple[Column, ...]) -> dict[str, Any]:
    loose = {"history", "reads", "value"}  # lists in JSON, text in CSV
    known = {column.name: {"description": column.label, **_TYPES[column.type]} for column in columns}
    return {"type": "object", "properties": {name: schema for name, schema in known.items() if name not in loose}}


def _problem() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["parameter", "value", "allowed"],
        "properties": {name: {"type": "string"} for name in ("parameter", "value", "allowed")},
    }
    return {
        "type": "object",
        "description": "An error as RFC 9457 has it.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "hint": {"type": "string"},
            "errors": {"type": "array", "items": error},
        },
    }


def _meta() -> dict[str, Any]:
    days = {
        "type": ["object", "null"],
        "properties": {
            "from": {"type": "string", "format": "date"},
            "to": {"type": "string", "format": "date"},
            "period": {"type": "string"},
        },
    }
    return {
        "type": "object",
        "required": ["build_id", "built_at", "timezone", "range", "compare_range", "columns"],
        "properties": {
            "build_id": {"type": "string"},
            "built_at": {"type": "string", "format": "date-time"},
            "as_of": {"type": ["string", "null"], "description": "The largest event time in the data."},
            "timezone": {"type": "string", "description": "Days are days of this zone."},
            "open_day": {"type": ["string", "null"], "description": "The day that is not over yet."},
            "range": days,
            "compare_range": days,
            "filters": {"type": "object"},
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("name", "label", "type", "unit")},
                },
            },
            "next": {"type": "string", "description": "The parameter next of the page after this one."},
        },
    }
