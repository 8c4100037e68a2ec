"""The AsyncAPI document: every topic with its records, and what passes over the WebSocket.

Made from the table of topics, the schema files and the shapes of answers, as OpenAPI's is made from
the routes. Operations are said from the rooms' side: a room receives what it reads.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from services.gateway import sockets
from services.gateway.core.keys import SCOPES
from services.gateway.models import (
    Account,
    Book,
    BookChange,
    Execution,
    FieldFault,
    Order,
    Positions,
    Predictions,
    PublicTrade,
)
from services.gateway.request_models import PlaceOrderRequest
from services.gateway.session import OWN
from services.gateway.socket_entry import AUTHENTICATE
from services.gateway.socket_orders import BODIES, CANCEL_ON_DISCONNECT, FOLLOW_UPS
from services.gateway.sockets import CHANNELS, KNOWN_OPS, OPS, RESUMABLE
from services.wire.schemas import newest_schema
from services.wire.topics import TOPICS, Topic

VERSION: Final = "1"
AVRO: Final = "application/vnd.apache.avro+json;version=1.12.0"
SOCKET: Final = "socket"
_POLICIES: Final[Mapping[str, list[str]]] = {
    "delete": ["delete"],
    "compact": ["compact"],
    "forever": ["delete"],
}
"""How Kafka calls the ways a topic is kept; for ever is deletion after no time at all."""
_SCHEMAS: Final = "#/components/schemas/{model}"
_UPDATES: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {
    "book": (BookChange,),
    "trades": (PublicTrade,),
    "executions": (Execution, Account),
    "positions": (Positions,),
    "predictions": (Predictions,),
}
"""What the `data` of each channel's updates is."""


def describe_messages() -> dict[str, Any]:
    """The document, AsyncAPI 3.0."""
    models: set[type[BaseModel]] = {Book, Order, FieldFault}
    models.update(model for shapes in _UPDATES.values() for model in shapes)
    said: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization") for model in sorted(models, key=lambda model: model.__name__)
    ]
    heard: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation") for model in BODIES.values()
    ]
    _, shapes = models_json_schema(said + heard, ref_template=_SCHEMAS)
    messages = {
        _message_name(topic, record): _record_message(topic, record)
        for topic in TOPICS
        for record in topic.records
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Outcry",
            "version": VERSION,
            "description": "Every topic of the log, and the WebSocket at /ws. Records are Avro in"
            " Confluent framing (a zero byte and four bytes of schema id), under the subject"
            " <topic>-<Record>; a record of `orders` may also be JSON. A deployment's topics may"
            " have a prefix.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {"host": "127.0.0.1:19092", "protocol": "kafka"},
            "gateway": {"host": "127.0.0.1:19080", "protocol": "ws"},
        },
        "channels": {
            **{_name(topic): _topic_channel(topic) for topic in TOPICS},
            SOCKET: _socket_channel(),
        },
        "operations": _operations(),
        "components": {"messages": messages | _socket_messages(), "schemas": shapes["$defs"]},
    }


# --- topics


def _name(topic: Topic) -> str:
    """A name for references: AsyncAPI's may hold no dot in operations."""
    return topic.name.replace(".", "-")


def _message_name(topic: Topic, record: str) -> str:
    return f"{_name(topic)}-{record}"


def _topic_channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": f"{topic.kind} {topic.name}",
        "description": f"Written by {_list(topic.writers)}; read by {_list(topic.readers)}."
        f" Key: {topic.key}.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            record: {"$ref": f"#/components/messages/{_message_name(topic, record)}"}
            for record in topic.records
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": _POLICIES[topic.cleanup]},
            }
        },
    }


def _record_message(topic: Topic, record: str) -> dict[str, Any]:
    schema = newest_schema(topic.name, record).schema
    key = {"type": "string", "description": f"The {topic.key}."}
    return {
        "name": record,
        "summary": schema["doc"],
        "contentType": "application/vnd.confluent.avro",
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {"kafka": {"key": key}} if topic.key in ("ticker", "account") else {},
    }


def _operations() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in TOPICS:
        channel = {"$ref": f"#/channels/{_name(topic)}"}
        for writer in topic.writers:
            found[f"{writer}-writes-{_name(topic)}"] = {"action": "send", "channel": channel}
        for reader in topic.readers:
            found[f"{reader}-reads-{_name(topic)}"] = {"action": "receive", "channel": channel}
    for action, verb, wanted in (
        ("receive", "hears", _FROM_CLIENTS),
        ("send", "says", _TO_CLIENTS),
    ):
        found[f"gateway-{verb}-{SOCKET}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{SOCKET}"},
            "messages": [{"$ref": f"#/channels/{SOCKET}/messages/{message}"} for message in wanted],
        }
    return found


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


# --- the WebSocket

_FROM_CLIENTS: Final = ("request", "authenticate", "command", "cancel-on-disconnect")
_TO_CLIENTS: Final = (
    *(f"{channel}-{kind}" for channel in CHANNELS for kind in ("snapshot", "update")),
    *(f"{channel}-{kind}" for channel in RESUMABLE for kind in ("resumed", "resync")),
    "unsubscribed",
    "authenticated",
    "taken",
    "cancels-on-disconnect",
    "error",
    "heartbeat",
)


def _socket_channel() -> dict[str, Any]:
    return {
        "address": "/ws",
        "title": "WebSocket",
        "description": sockets.__doc__,
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": {
            name: {"$ref": f"#/components/messages/{SOCKET}-{name}"}
            for name in (*_FROM_CLIENTS, *_TO_CLIENTS)
        },
    }


def _socket_messages() -> dict[str, Any]:
    ticker = {"type": "string", "examples": ["AAPL"]}
    channel = {"enum": list(CHANNELS)}
    number = {"type": "integer", "minimum": 0}
    shapes: dict[str, dict[str, Any]] = {
        "request": _object(
            {"op": {"enum": list(OPS)}, "channel": channel}, {"ticker": ticker, "after": number}
        ),
        "unsubscribed": _object(
            {"type": {"const": "unsubscribed"}, "channel": channel}, {"ticker": ticker}
        ),
        "error": _object(
            {
                "type": {"const": "error"},
                "reason": {"type": "string"},
                "detail": {"type": "string"},
            },
            {
                "op": {"enum": list(KNOWN_OPS)},
                "channel": channel,
                "ticker": ticker,
                "id": {"type": "string"},
                "errors": {"type": "array", "items": _reference(FieldFault)},
                # Of a command whose outcome is not known: by what to ask for it.
                "client_order_id": {"type": "string"},
                "client_command_id": {"type": "string"},
                "order_id": {"type": "string"},
            },
        ),
        "heartbeat": _object({"type": {"const": "heartbeat"}, "time_us": {"type": "integer"}}, {}),
    }
    for name, models in _UPDATES.items():
        of_ticker = {} if name in OWN else {"ticker": ticker}
        update = [_reference(model) for model in models]
        kinds = {"snapshot": _snapshot(name, update), "update": _any(update)}
        if name in RESUMABLE:
            kinds |= {"resumed": _object({"after": number}, {}), "resync": kinds["snapshot"]}
        for kind, data in kinds.items():
            head: dict[str, Any] = {"type": {"const": kind}, "channel": {"const": name}} | of_ticker
            is_numbered = kind == "update" or name == "book"
            head["sequence"] = number if is_numbered else {"const": 0}
            if (name, kind) == ("book", "update"):
                head["previous"] = number
            shapes[f"{name}-{kind}"] = _object(head | {"data": data}, {})
    shapes |= _proofs_and_commands()
    return {f"{SOCKET}-{name}": {"name": name, "payload": shape} for name, shape in shapes.items()}


def _proofs_and_commands() -> dict[str, dict[str, Any]]:
    text = {"type": "string"}
    return {
        "authenticate": _object(
            {"op": {"const": AUTHENTICATE}},
            {"key": text, "key_id": text, "timestamp_ms": {"type": "integer"}, "signature": text},
        ),
        "authenticated": _object(
            {
                "type": {"const": "authenticated"},
                "account": text,
                "scopes": {"type": "array", "items": {"enum": list(SCOPES)}},
            },
            {},
        ),
        "command": {"oneOf": [_command(op) for op in BODIES]},
        "taken": _object(
            {"type": {"const": "taken"}, "id": text, "order_id": {"type": ["string", "null"]}},
            {"client_order_id": text, "client_command_id": text},
        ),
        "cancel-on-disconnect": _object(
            {"op": {"const": CANCEL_ON_DISCONNECT}, "enabled": {"type": "boolean"}}, {}
        ),
        "cancels-on-disconnect": _object(
            {"type": {"const": CANCEL_ON_DISCONNECT}, "enabled": {"type": "boolean"}}, {}
        ),
    }


def _command(op: str) -> dict[str, Any]:
    """A command's message: the body is REST's, but that no header may state its id here."""
    model = BODIES[op]
    body_id = "client_order_id" if model is PlaceOrderRequest else "client_command_id"
    members: dict[str, Any] = {
        "op": {"const": op},
        "id": {"type": "string"},
        "body": {"allOf": [_reference(model), {"required": [body_id]}]},
    }
    about_one = {"order_id": {"type": "string"}} if op in FOLLOW_UPS else {}
    return _object(members | about_one, {})


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _snapshot(name: str, update: list[dict[str, str]]) -> dict[str, Any]:
    match name:
        case "book":
            return _reference(Book)
        case "trades":
            return _object({"trades": {"type": "array", "items": _any(update)}}, {})
        case "executions":
            orders = {"type": "array", "items": _reference(Order)}
            return _object({"account_sequence": {"type": "integer"}, "orders": orders}, {})
        case _:
            return _any(update)


def _any(shapes: list[dict[str, str]]) -> dict[str, Any]:
    return dict(shapes[0]) if len(shapes) == 1 else {"oneOf": shapes}


def _object(members: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members | optional,
        "required": list(members),
        "additionalProperties": False,
    }
