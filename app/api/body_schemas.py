"""Schemas of bodies that routes read themselves, for the OpenAPI document.

FastAPI knows nothing of those, and so makes no components of them: they stand where they are used.
"""

from typing import Any

from pydantic import BaseModel


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON schema, without references."""
    schema = model.model_json_schema(ref_template="{model}")
    resolved: dict[str, Any] = _resolved(schema, schema.pop("$defs", {}))
    return resolved


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolved(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    # A discriminator maps to components.
    dropped = ("$ref", "discriminator")
    rest = {key: _resolved(each, definitions) for key, each in node.items() if key not in dropped}
    if "default" in rest and rest["default"] is None:
        del rest["default"]  # JSON may say so, and mean what is not given
        if isinstance(rest.get("type"), str):
            rest["type"] = [rest["type"], "null"]
    if "$ref" in node:
        return {**_resolved(definitions[node["$ref"]], definitions), **rest}
    return rest
