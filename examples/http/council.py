"""The council app's eight storage functions over HTTP, with nothing but Python's standard library.

    repot serve -C apps/council &
    REPOT_URL=http://127.0.0.1:7070 python3 examples/http/council.py
"""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote

URL = os.environ.get("REPOT_URL", "http://127.0.0.1:7070")


class Storage:
    """Conversations of users. Each request names the user, who reaches nothing of others."""

    def __init__(self, url=URL):
        self.url = url

    def _send(self, method, path, user_id, body=None, **headers):
        """The status, headers and JSON of an answer; errors that say what is wrong are raised."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Repot-Tenant", user_id)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if body is not None:
            request.data = json.dumps(body).encode()
            if not request.has_header("Content-type"):
                request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            problem = json.loads(error.read() or b"{}")
            if error.code == 404:
                return 404, error.headers, problem
            raise RuntimeError(f"{problem.get('code')}: {problem.get('detail')}") from error

    def _path(self, conversation_id):
        return f"/v1/conversations/{quote(conversation_id, safe='')}"

    def create_conversation(self, user_id, conversation_id=None):
        body = {"user_id": user_id, "messages": []}
        if conversation_id is not None:
            body["id"] = conversation_id
        # without an id the server makes one; title and time come from the model
        return self._send("POST", "/v1/conversations", user_id, body)[2]

    def get_conversation(self, conversation_id, user_id):
        status, _, found = self._send("GET", self._path(conversation_id), user_id)
        return None if status == 404 else found

    def save_conversation(self, conversation, user_id):
        self._send("PUT", self._path(conversation["id"]), user_id, conversation)
        return True

    def list_conversations(self, user_id):
        path = "/v1/conversations?sort=-created_at&limit=50&full=1"
        items = self._send("GET", path, user_id)[2]["items"]
        kept = ("id", "title", "created_at")
        return [{**{name: item.get(name) for name in kept}, "message_count": len(item["messages"])} for item in items]

    def add_user_message(self, conversation_id, content, user_id):
        return self._add(conversation_id, {"role": "user", "content": content}, user_id)

    def add_assistant_message(self, conversation_id, stage1, stage2, stage3, user_id, metadata=None):
        message = {"role": "assistant", "stage1": stage1, "stage2": stage2, "stage3": stage3}
        if metadata is not None:
            message["metadata"] = metadata
        return self._add(conversation_id, message, user_id)

    def _add(self, conversation_id, message, user_id):
        # an append: whoever else adds a message meanwhile, both are there after it
        status, _, _ = self._send("POST", self._path(conversation_id) + "/messages", user_id, message)
        return status == 201

    def update_conversation_title(self, conversation_id, title, user_id):
        status, _, _ = self._send(
            "PATCH",
            self._path(conversation_id),
            user_id,
            {"title": title},
            Content_Type="application/merge-patch+json",
            Prefer="return=minimal",
        )
        return status == 204

    def delete_conversation(self, conversation_id, user_id):
        return self._send("DELETE", self._path(conversation_id), user_id)[0] == 204


def main():
    storage = Storage()
    made = storage.create_conversation("u1")
    assert made["title"] == "New Conversation" and made["created_at"], made
    id = made["id"]
    assert storage.add_user_message(id, "Should a small bakery open on Sundays?", "u1")
    assert storage.add_assistant_message(id, [{"model": "north"}], [], "It depends on cost.", "u1", {"took": 3})
    assert storage.update_conversation_title(id, "Sundays", "u1")
    read = storage.get_conversation(id, "u1")
    assert [message["role"] for message in read["messages"]] == ["user", "assistant"], read
    assert read["title"] == "Sundays", read
    assert storage.save_conversation({**read, "title": "Sundays!"}, "u1")
    listed = storage.list_conversations("u1")
    assert [item["message_count"] for item in listed if item["id"] == id] == [2], listed
    # another user reaches none of it
    assert storage.get_conversation(id, "u2") is None
    assert not storage.add_user_message(id, "mine", "u2")
    assert not storage.delete_conversation(id, "u2")
    assert storage.list_conversations("u2") == []
    assert storage.delete_conversation(id, "u1")
    assert not storage.delete_conversation(id, "u1")
    assert storage.get_conversation(id, "u1") is None
    print("the eight functions work")


if __name__ == "__main__":
    main()
