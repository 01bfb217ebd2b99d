// An established connection: silence, gaps, loss and return, end (contract 7.3 and 12).

import assert from "node:assert/strict";
import { test } from "node:test";

import { ERRORS } from "../../../generated/typescript/index.js";
import { failure, HELLO, settle, World } from "./support/fake.js";

/** Notices of the connection in short. */
function watch(client) {
  const seen = [];
  client.onConnection((notice) => {
    const { kind, expected, received, cause, error } = notice;
    const more = { gap: `${expected}..${received}`, disconnected: cause?.by, "gave-up": error?.kind }[kind];
    seen.push(more ? `${kind} ${more}` : kind);
  });
  return seen;
}

test("a gateway without ticks for two intervals is given up", async (t) => {
  const policy = (tickIntervalMs) => ({ policy: { ...HELLO.policy, tickIntervalMs } });
  const cases = [
    ["announced", 30_000, 60_000],
    ["too short", 1, 2_000],
    ["too long", 1e12, 7_200_000],
  ];
  for (const [name, interval, patience] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await world.connected({ reconnect: "never" }, policy(interval));
      const seen = watch(client);
      await world.pass(patience - 1);
      world.socket.event("tick", { ts: 1 }, { seq: 1 });
      await world.pass(patience / 2);
      world.socket.event("health", {}, { seq: 2 });
      await world.pass(patience / 2 - 1);
      assert.deepEqual(seen, []);
      await world.pass(1);
      assert.deepEqual(seen, ["disconnected silence"]);
      assert.deepEqual(world.socket.closed, [4000, "tick timeout"]);
      assert.equal(client.connected, false);
      assert.equal(world.timers, 0);
    });
  }
});

test("gaps are upward jumps of one connection", async () => {
  const world = new World();
  const client = await world.connected();
  const seen = watch(client);
  client.on("tick", ({ ts }) => seen.push(`tick ${ts}`));
  for (const seq of [7, 8, undefined, 10, 11, 3, 4, 4, 6]) {
    world.socket.event("tick", { ts: seq ?? 0 }, seq === undefined ? {} : { seq });
  }
  assert.deepEqual(seen, [
    "tick 7", "tick 8", "tick 0", "gap 9..10", "tick 10", "tick 11", "tick 3", "tick 4", "tick 4", "gap 5..6", "tick 6",
  ]);
  seen.length = 0;
  world.socket.end();
  await world.pass(1_000);
  await world.greet();
  world.socket.event("tick", { ts: 99 }, { seq: 99 });
  assert.deepEqual(seen, ["disconnected gateway", "reconnected", "tick 99"], "the first number may be any");
});

test("a lost connection comes back after growing delays", async () => {
  const world = new World();
  const client = await world.connected();
  const seen = watch(client);
  world.socket.end();
  for (const [i, ms] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    await world.pass(ms - 1);
    assert.equal(world.sockets.length, i + 1, `too early: attempt ${i}`);
    await world.pass(1);
    assert.equal(world.sockets.length, i + 2, `not yet: attempt ${i}`);
    if (i < 6) world.socket.end();
  }
  assert.equal((await failure(client.call("health"))).kind, "not-connected");
  await world.greet({ server: { version: "0.1.0", connId: "c-2" } });
  assert.equal(client.hello.server.connId, "c-2");
  const called = client.call("health");
  world.socket.answer(world.socket.requests("health")[0].id, 5);
  assert.equal(await called, 5);
  // The next loss begins with the first delay again.
  world.socket.end();
  await world.pass(1_000);
  assert.equal(world.sockets.length, 9);
  assert.deepEqual(seen, ["disconnected gateway", "reconnected", "disconnected gateway"]);
});

test("delays are shortened by chance", async (t) => {
  for (const [jitter, chance, ms] of [[0.5, 0, 1_000], [0.5, 0.5, 750], [1, 0.9, 100], [7, 0.5, 500], [-1, 0.5, 1_000]]) {
    await t.test(`jitter ${jitter}, chance ${chance}`, async () => {
      const world = new World();
      await world.connected({ backoff: { jitter }, environment: { random: () => chance } });
      world.socket.end();
      await world.pass(ms - 1);
      assert.equal(world.sockets.length, 1);
      await world.pass(1);
      assert.equal(world.sockets.length, 2);
    });
  }
});

test("whether a client comes back", async (t) => {
  const mismatch = { code: "INVALID_REQUEST", message: ERRORS.tokenMismatch.text };
  const starting = { code: "UNAVAILABLE", message: "starting" };
  const cases = [
    ["never", undefined, ["disconnected gateway"], 1],
    ["unless-refused", starting, ["disconnected gateway"], 3],
    ["unless-refused", mismatch, ["disconnected gateway", "gave-up unauthorized"], 2],
    ["always", mismatch, ["disconnected gateway"], 3],
  ];
  for (const [reconnect, answer, expected, sockets] of cases) {
    await t.test(`${reconnect}, ${answer?.message}`, async () => {
      const world = new World();
      const client = await world.connected({ reconnect });
      const seen = watch(client);
      const all = client.notices();
      world.socket.end();
      await world.pass(1_000);
      if (answer) {
        await world.introduce();
        world.socket.refuse("connect", answer);
      }
      await world.pass(2_000);
      assert.deepEqual(seen, expected);
      assert.equal(world.sockets.length, sockets);
      await client.close();
      const kinds = [];
      for await (const { kind } of all) kinds.push(kind);
      assert.deepEqual(kinds, expected.map((text) => text.split(" ")[0]));
      assert.equal(world.timers, 0);
    });
  }
});

test("close ends everything, wherever the client is", async (t) => {
  const cases = [
    ["before connect", async () => new World().client(), []],
    ["connected, the gateway answers", async (world) => world.connected(), ["disconnected client"], (world) => world.socket.end(1000)],
    ["connected, the gateway is silent", async (world) => world.connected(), ["disconnected client"], (world) => world.pass(1_000)],
    ["waiting to come back", async (world) => {
      const client = await world.connected();
      world.socket.end();
      return client;
    }, []],
    ["coming back", async (world) => {
      const client = await world.connected();
      world.socket.end();
      await world.pass(1_000);
      await world.introduce();
      return client;
    }, []],
  ];
  for (const [name, arrange, expected, act] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await arrange(world);
      const seen = watch(client);
      const all = client.notices();
      const closing = client.close();
      await act?.(world);
      await closing;
      await client.close();
      assert.deepEqual(seen, expected);
      assert.equal(client.connected, false);
      assert.equal(world.timers, 0);
      for await (const notice of all) assert.equal(notice.kind, "disconnected");
      const opened = world.sockets.length;
      await world.pass(100_000);
      assert.equal(world.sockets.length, opened);
      for (const socket of world.sockets) assert.ok(socket.ended || socket.closed, "left open");
    });
  }
});

test("a call that waits fails when its client is closed", async () => {
  const world = new World();
  const client = await world.connected();
  const failed = failure(client.call("health"));
  const closing = client.close();
  world.socket.end(1000);
  await closing;
  assert.deepEqual((await failed).disconnect, { by: "client" });
  assert.deepEqual(world.socket.closed, [1000, undefined]);
});

test("what comes with the hello is not lost, and nothing comes after the end", async () => {
  const world = new World();
  const client = world.client({ reconnect: "never" });
  const seen = watch(client);
  client.on("tick", ({ ts }) => seen.push(`tick ${ts}`));
  void client.connect();
  await world.introduce();
  world.socket.answer("connect", HELLO);
  world.socket.event("tick", { ts: 1 });
  const handler = world.socket.onmessage;
  world.socket.end();
  world.socket.event("tick", { ts: 2 });
  await settle();
  assert.notEqual(handler, null);
  assert.deepEqual(seen, ["tick 1", "disconnected gateway"]);
});
