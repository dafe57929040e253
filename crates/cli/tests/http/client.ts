// A typed client of the dramas app: the types are made by openapi-typescript, requests are sent by openapi-fetch.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./types.js";

// listings can also come as lines (application/x-ndjson), which this program does not ask for
type Json = "application/json" | "application/problem+json";
const client = createClient<paths, Json>({ baseUrl: process.env.REPOT_URL! });
type Drama = components["schemas"]["dramas"];

const made = await client.POST("/v1/dramas", { body: { id: "d1", title: "Rot", characters: [{ id: "m", name: "Mara" }] } });
assert.equal(made.response.status, 201, JSON.stringify(made.error));
const etag = made.response.headers.get("etag")!;

const read = await client.GET("/v1/dramas/{id}", { params: { path: { id: "d1" } } });
const drama: Drama = read.data!;
assert.equal(drama.title, "Rot");
assert.equal(drama.characters![0].name, "Mara");

const patched = await client.PATCH("/v1/dramas/{id}", {
  params: { path: { id: "d1" }, header: { "If-Match": etag } },
  body: { title: "Blau" },
  headers: { "Content-Type": "application/merge-patch+json" },
});
assert.equal(patched.data!.title, "Blau", JSON.stringify(patched.error));
const stale = await client.PATCH("/v1/dramas/{id}", {
  params: { path: { id: "d1" }, header: { "If-Match": etag } },
  body: {},
  headers: { "Content-Type": "application/merge-patch+json" },
});
assert.equal(stale.response.status, 412);
assert.equal(stale.error!.code, "R0401");

const added = await client.POST("/v1/dramas/{id}/characters", {
  params: { path: { id: "d1" } },
  body: { id: "j", name: "Jon" },
});
assert.equal(added.response.status, 201, JSON.stringify(added.error));

const listed = await client.GET("/v1/dramas", { params: { query: { "title[like]": "B%", sort: "-created_at", limit: 5 } } });
assert.deepEqual(listed.data!.items.map((item) => item.title), ["Blau"]);
// @ts-expect-error: there is no such parameter
await client.GET("/v1/dramas", { params: { query: { nothing: 1 } } });
// @ts-expect-error: a title is a text
await client.PUT("/v1/dramas/{id}", { params: { path: { id: "d2" } }, body: { title: 7 } });

const gone = await client.DELETE("/v1/dramas/{id}", { params: { path: { id: "d1" } } });
assert.equal(gone.response.status, 204);
console.log("the client works");
