"""A client of the dramas app, made by openapi-python-client: the package `dramas_client` beside this file."""

import os

from dramas_client import Client
from dramas_client.api.dramas import append_dramas_characters, create_dramas, get_dramas, list_dramas, patch_dramas
from dramas_client.models import CharactersElement, Dramas, DramasNew, DramasRow, Problem

client = Client(base_url=os.environ["REPOT_URL"])

made = create_dramas.sync_detailed(
    client=client, body=DramasNew(id="d1", title="Rot", characters=[CharactersElement(id="m", name="Mara")])
)
assert made.status_code == 201 and isinstance(made.parsed, Dramas), made
etag = made.headers["etag"]

read = get_dramas.sync(client=client, id="d1")
assert isinstance(read, Dramas) and read.title == "Rot", read
assert read.characters[0].name == "Mara" and read.created_at.year >= 2025, read

patch = {"title": "Blau"}
changed = patch_dramas.sync_detailed(client=client, id="d1", body=patch, if_match=etag)
assert changed.status_code == 200 and changed.parsed.title == "Blau", changed
stale = patch_dramas.sync_detailed(client=client, id="d1", body={}, if_match=etag)
assert stale.status_code == 412 and isinstance(stale.parsed, Problem) and stale.parsed.code == "R0401", stale

added = append_dramas_characters.sync_detailed(client=client, id="d1", body=CharactersElement(id="j", name="Jon"))
assert added.status_code == 201, added

page = list_dramas.sync(client=client, titlelike="B%", sort="-created_at", limit=5)
assert [item.title for item in page.items] == ["Blau"] and isinstance(page.items[0], DramasRow), page
print("the client works")
