// Listeners and iterators.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EVENT_BUFFER } from "../../../generated/typescript/index.js";
import { settle, World } from "./support/fake.js";

test("listeners get what they asked for", async () => {
  const world = new World();
  const client = await world.connected();
  const seen = [];
  const end = client.on("tick", (payload, event) => seen.push(["tick", payload, event]));
  client.on("shutdown", () => seen.push(["shutdown"]));
  client.onUnknown(({ name, payload }) => seen.push([name, payload]));
  const stateVersion = { presence: 2, health: 3 };
  world.socket.event("tick", { ts: 1 }, { seq: 1, stateVersion });
  world.socket.event("later", { new: true });
  world.socket.event("toString", 1);
  end();
  end();
  world.socket.event("tick", { ts: 2 });
  assert.deepEqual(seen, [
    ["tick", { ts: 1 }, { kind: "event", name: "tick", payload: { ts: 1 }, seq: 1, stateVersion }],
    ["later", { new: true }],
    ["toString", 1],
  ]);
});

test("a listener that throws disturbs nobody", async () => {
  const world = new World();
  const client = await world.connected();
  const seen = [];
  const broken = () => {
    throw new Error("broken");
  };
  client.on("tick", broken);
  client.on("tick", ({ ts }) => seen.push(ts));
  world.socket.event("tick", { ts: 1 });
  assert.deepEqual(seen, [1]);
  assert.deepEqual(world.warnings, ["a listener of the gateway client has thrown"]);
});

test("a listener that is given twice is called twice", async () => {
  const world = new World();
  const client = await world.connected();
  let calls = 0;
  const listener = () => (calls += 1);
  const end = client.on("tick", listener);
  client.on("tick", listener);
  world.socket.event("tick", { ts: 1 });
  end();
  world.socket.event("tick", { ts: 1 });
  assert.equal(calls, 3);
});

test("an iterator gives events of its names and what happens to the connection", async (t) => {
  const cases = [
    [[], ["tick", "health", "gap", "tick", "later", "disconnected"]],
    [["tick"], ["tick", "gap", "tick", "disconnected"]],
    [["health", "shutdown"], ["health", "gap", "disconnected"]],
  ];
  for (const [names, expected] of cases) {
    await t.test(names.join() || "all", async () => {
      const world = new World();
      const client = await world.connected({ reconnect: "never" });
      const notices = client.notices(...names);
      const early = notices.next();
      world.socket.event("tick", { ts: 1 }, { seq: 1 });
      world.socket.event("health", {}, { seq: 2 });
      world.socket.event("tick", { ts: 1 }, { seq: 4 });
      world.socket.event("later", {}, { seq: 5 });
      world.socket.end();
      const kinds = [(await early).value];
      for await (const notice of notices) kinds.push(notice);
      assert.deepEqual(kinds.map((notice) => notice.name ?? notice.kind), expected);
      assert.deepEqual(await notices.next(), { done: true, value: undefined });
      assert.deepEqual(await client.notices().next(), { done: true, value: undefined });
    });
  }
});

test("a slow consumer is told how much it lost", async (t) => {
  for (const [sent, lost] of [[EVENT_BUFFER, 0], [EVENT_BUFFER + 1, 1], [EVENT_BUFFER + 9, 9]]) {
    await t.test(`${sent} events`, async () => {
      const world = new World();
      const client = await world.connected();
      const notices = client.notices("tick");
      for (let ts = 0; ts < sent; ts += 1) world.socket.event("tick", { ts });
      const first = (await notices.next()).value;
      if (lost > 0) {
        assert.deepEqual(first, { kind: "dropped", count: lost });
        assert.equal((await notices.next()).value.payload.ts, lost);
      } else {
        assert.equal(first.payload.ts, 0);
      }
      let rest = 0;
      const closing = client.close();
      world.socket.end(1000);
      await closing;
      for await (const notice of notices) rest += notice.kind === "event" ? 1 : 0;
      // The end of the connection is a notice as well, and had room.
      assert.equal(rest, EVENT_BUFFER - 1);
    });
  }
});

test("an iterator that is left hears no more", async () => {
  const world = new World();
  const client = await world.connected();
  const notices = client.notices();
  world.socket.event("tick", { ts: 1 });
  world.socket.event("tick", { ts: 2 });
  for await (const notice of notices) {
    assert.equal(notice.payload.ts, 1);
    break;
  }
  world.socket.event("tick", { ts: 3 });
  await settle();
  assert.deepEqual(await notices.next(), { done: true, value: undefined });
});
