"""What schemathesis cannot know of its own requests."""

import json
import os

import schemathesis

RECEIVER = os.environ["RECEIVER"]
FORM = "application/x-www-form-urlencoded"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Addresses that are made up belong to somebody: all of them become that of a receiver in the test.

    And the document's `encoding`, JSON text of an object in a form, is passed over by version 4.32.5.
    """
    headers = case.headers or {}
    for name in headers:
        if name.lower() == "destination" and is_address(headers[name]):
            headers[name] = RECEIVER
    if not isinstance(case.body, dict):
        return
    if is_address(case.body.get("notify")):
        case.body["notify"] = RECEIVER
    if case.media_type == FORM and isinstance(case.body.get("profile"), dict):
        case.body["profile"] = json.dumps(case.body["profile"])


def is_address(value):
    return isinstance(value, str) and value.lower().startswith("http")
