// The translation app's repositories over HTTP, with nothing but `fetch`: sessions, their files, jobs and batches.
//
//   repot serve -C apps/translation &
//   REPOT_URL=http://127.0.0.1:7070 npx tsx examples/http/translation.ts

import assert from "node:assert/strict";

const URL = process.env.REPOT_URL ?? "http://127.0.0.1:7070";

type Json = Record<string, any>;

/** An answer; errors that say what is wrong are thrown, "not there" is not one. */
async function send(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(URL + path, { method, body, headers });
  if (answer.ok || answer.status === 404) return answer;
  const problem: Json = await answer.json();
  throw Object.assign(new Error(`${problem.code}: ${problem.detail}`), { status: answer.status });
}

async function json(answer: Promise<Response>): Promise<Json | undefined> {
  const found = await answer;
  return found.status === 404 ? undefined : ((await found.json()) as Json);
}

const merge = { "content-type": "application/merge-patch+json" };

/** What is named by its place, since its key is made by the server. */
function place(collection: string, fields: Record<string, string>): string {
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `/v1/${collection}/@${pairs.join("&")}`;
}

/** All items of a listing, a page at a time. */
async function list(collection: string, filters: Record<string, string>): Promise<Json[]> {
  const found: Json[] = [];
  const query = new URLSearchParams(filters);
  for (;;) {
    const page = (await json(send("GET", `/v1/${collection}?${query}`)))!;
    found.push(...page.items);
    if (!page.next) return found;
    query.set("after", page.next);
  }
}

const session = (sender: string) => place("sessions", { sender_id: sender });

const sessions = {
  create: (sender: string) =>
    json(send("PUT", session(sender), JSON.stringify({ status: "active", jobs: [] }), { "if-none-match": "*" })),
  get: (sender: string) => json(send("GET", session(sender))),
  update: (sender: string, status: string) => json(send("PATCH", session(sender), JSON.stringify({ status }), merge)),
  list: (filters: Record<string, string>) => list("sessions", filters),
  // its files and batches go with it
  delete: async (sender: string) => (await send("DELETE", session(sender))).status === 204,
};

interface File {
  file_type: string;
  locale: string;
  content_type: string;
  relative_path: string;
}

const files = {
  path: (sender: string, file: File) => place("files", { sender_id: sender, ...file }),
  async save(sender: string, file: File, content: string) {
    await send("PUT", this.path(sender, file), content, { "content-type": "text/plain" });
  },
  async get(sender: string, file: File): Promise<string | undefined> {
    const answer = await send("GET", this.path(sender, file));
    return answer.status === 404 ? undefined : answer.text();
  },
  /** The file must be there. */
  async update(sender: string, file: File, content: string) {
    const headers = { "if-match": "*", "content-type": "text/plain" };
    await send("PUT", this.path(sender, file), content, headers);
  },
  async bySession(sender: string, locale: string): Promise<string[]> {
    const own = await list("sessions", { sender_id: sender, fields: "id" });
    const found = await list("files", { session_id: own[0].id, locale, fields: "relative_path" });
    return found.map((file) => file.relative_path);
  },
  async delete(sender: string, file: File): Promise<boolean> {
    return (await send("DELETE", this.path(sender, file))).status === 204;
  },
};

const jobs = {
  /** An append: whoever else adds a job meanwhile, both are there after it. */
  async create(sender: string, job: Json) {
    await send("POST", `${session(sender)}/jobs`, JSON.stringify(job));
  },
  get: (sender: string, id: string) => json(send("GET", `${session(sender)}/jobs/${encodeURIComponent(id)}`)),
  /** Whether there is such a job; its status alone is written. */
  async update(sender: string, id: string, status: string): Promise<boolean> {
    const path = `${session(sender)}/jobs/${encodeURIComponent(id)}/status`;
    return (await send("PUT", path, JSON.stringify(status))).status === 204;
  },
};

const batch = (sender: string, id: string) => place("batches", { sender_id: sender, batch_id: id });

const batches = {
  create: (sender: string, id: string) =>
    json(send("PUT", batch(sender, id), JSON.stringify({ status: "pending", requests: 0 }), { "if-none-match": "*" })),
  get: (sender: string, id: string) => json(send("GET", batch(sender, id))),
  update: (sender: string, id: string, change: Json) => json(send("PATCH", batch(sender, id), JSON.stringify(change), merge)),
  /** All of them or none. */
  async saveRequests(sender: string, id: string, requests: Json[]) {
    const one = (body: Json) => ({
      method: "PUT",
      path: place("batch_requests", { sender_id: sender, batch_id: id, custom_id: body.custom_id }),
      body,
    });
    await send("POST", "/v1:batch", JSON.stringify({ requests: requests.map(one) }));
  },
  requests: (id: string) => list("batch_requests", { batch_id: id, sort: "custom_id" }),
  /** Its requests go first, since they refer to it and stand with others in one file. */
  async delete(sender: string, id: string): Promise<boolean> {
    const own = (await this.requests(id)).map((found) => found.custom_id);
    const one = (custom_id: string) => ({
      method: "DELETE",
      path: place("batch_requests", { sender_id: sender, batch_id: id, custom_id }),
    });
    await send("POST", "/v1:batch", JSON.stringify({ requests: own.map(one) }));
    return (await send("DELETE", batch(sender, id))).status === 204;
  },
};

async function main() {
  const sender = "example sender";
  assert.equal(await sessions.get(sender), undefined);
  await sessions.create(sender);
  await assert.rejects(sessions.create(sender), { status: 412 });
  assert.equal((await sessions.update(sender, "done"))!.status, "done");
  assert.equal((await sessions.list({ status: "done" })).length, 1);

  const file = { file_type: "uploads", locale: "en", content_type: "content", relative_path: "docs/a b/ü.md" };
  await assert.rejects(files.update(sender, file, "# Hello\r\n"), { status: 412 });
  await files.save(sender, file, "# Hello\r\n");
  await files.update(sender, file, "# Hello, world\r\n");
  assert.equal(await files.get(sender, file), "# Hello, world\r\n");
  assert.deepEqual(await files.bySession(sender, "en"), ["docs/a b/ü.md"]);
  assert.deepEqual(await files.bySession(sender, "de"), []);
  assert.equal(await files.delete(sender, file), true);
  assert.equal(await files.get(sender, file), undefined);

  for (const id of ["j1", "j2"]) await jobs.create(sender, { id, source_locale: "en", target_locale: "de" });
  assert.equal(await jobs.update(sender, "j2", "failed"), true);
  assert.equal(await jobs.update(sender, "j3", "failed"), false);
  await assert.rejects(jobs.update(sender, "j1", "lost"), { status: 422 });
  assert.equal((await jobs.get(sender, "j2"))!.status, "failed");

  await batches.create(sender, "b1");
  const request = (custom_id: string) => ({ custom_id, method: "POST", url: "/v1/chat/completions", body: { n: 1 } });
  await batches.saveRequests(sender, "b1", [request("r1"), request("r2")]);
  await assert.rejects(batches.saveRequests(sender, "b1", [request("r3"), { custom_id: "r4" }]), { status: 422 });
  assert.deepEqual((await batches.requests("b1")).map((found) => found.custom_id), ["r1", "r2"]);
  assert.equal((await batches.update(sender, "b1", { status: "submitted", requests: 2 }))!.requests, 2);
  assert.equal((await batches.get(sender, "b1"))!.status, "submitted");
  assert.equal(await batches.delete(sender, "b1"), true);
  assert.equal((await batches.requests("b1")).length, 0);

  assert.equal(await sessions.delete(sender), true);
  assert.equal(await sessions.delete(sender), false);
  console.log("the repositories work");
}

await main();
