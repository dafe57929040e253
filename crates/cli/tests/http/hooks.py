"""What OpenAPI cannot say about requests, for schemathesis: how parts of one request hang together.

Requests that are wrong on purpose stay as they are, and so do answers.
"""

import re
from itertools import count
from urllib.parse import quote

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Takes back what the document says only for the sake of typed clients (`x-repot-loose`)."""
    open_values = [raw_schema]
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            if value.pop("x-repot-loose", False):
                value.pop("type", None)
            open_values.extend(value.values())
        elif isinstance(value, list):
            open_values.extend(value)


numbers = count()


def hurry(values):
    """Waits for a millisecond where a wait for nothing is asked for."""
    if isinstance(values, dict) and re.fullmatch(r"[0-9]+(ms|s|m|h|d)", str(values.get("wait"))):
        values["wait"] = "1ms"


@schemathesis.hook
def before_call(context, case, kwargs):
    hurry(case.query)
    hurry(case.body)
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and re.fullmatch("[!-~]{1,200}", str(key)):
        # the same key with another request is 422, before anything else is looked at, and short keys come again soon
        case.headers["Idempotency-Key"] = f"{key}{next(numbers)}"
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    headers = case.headers or {}
    # a lease is what a claim gave, and each other one is refused (409) before anything else is looked at
    for name in ("Repot-Lease", "Repot-Ack"):
        headers.pop(name, None)
    query = case.query or {}
    # a cursor is what another page gave, and each other one is 400; pages are followed in `listings.rs` of the server
    query.pop("after", None)
    # each is right by itself, but whole documents have all their fields: together they are 400, which no schema of single
    # parameters can say
    if query.get("full") in ("1", "true"):
        query.pop("fields", None)
        query.pop("expand", None)
    # a search for no word is 400; what is a word is a matter of Unicode, beyond what a pattern should say
    if "q" in query and not any(letter.isalnum() for letter in str(query["q"])):
        query["q"] = "word"
    for name in ("If-Match", "If-None-Match"):
        tag = (case.headers or {}).get(name)
        if tag is not None and tag != "*" and '"' not in tag:
            # an entity tag in quotes reads as a JSON string to schemathesis, which then sends it without them
            case.headers[name] = f'"{tag}"'
    tenant = (case.headers or {}).get("Repot-Tenant")
    if tenant is not None and "user_id" in (case.path_parameters or {}):
        # a place is the caller's own, and another one 404; so no document would ever be made there
        case.path_parameters["user_id"] = quote(tenant, safe="")
    fields = {name: value for name, value in (case.path_parameters or {}).items() if name != "part"}
    if tenant is not None:
        fields["user_id"] = tenant
    if isinstance(case.body, dict) and case.method in ("PUT", "POST") and not case.path.endswith("}/messages"):
        # what a document says of its name is what the path says; else it is 422, and next to nothing would be stored
        for name, value in fields.items():
            if case.body.get(name) is not None:
                case.body[name] = value
