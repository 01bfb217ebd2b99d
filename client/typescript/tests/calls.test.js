// Calls and their answers (contract 1.2 and 6).

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { MAX_BUFFERED, MAX_PENDING } from "../../../generated/typescript/index.js";
import { failure, settle, World } from "./support/fake.js";

const RUN = { message: "hello", idempotencyKey: "run-1" };
const ACCEPTED = { runId: "run-1", status: "accepted", acceptedAt: 1 };
const FINAL = { runId: "run-1", status: "ok", summary: "completed", result: { payloads: [], meta: { durationMs: 1 } } };
const ERROR = { code: "UNAVAILABLE", message: "it broke" };

test("a call sends one request and gives its answer", async (t) => {
  const answer = (frame) => (socket, id) => socket.receive({ type: "res", id, ...frame });
  const cases = [
    ["a result", answer({ ok: true, payload: { ts: 1 } }), { ts: 1 }],
    ["a result of nothing", answer({ ok: true }), null],
    ["a refusal", answer({ ok: false, error: ERROR }), { kind: "refused", error: ERROR, payload: null }],
    [
      "a refusal with more",
      answer({ ok: false, error: ERROR, payload: { runId: "r" } }),
      { kind: "refused", error: ERROR, payload: { runId: "r" } },
    ],
    ["a refusal without words", answer({ ok: false }), { kind: "bad-answer", error: undefined, payload: undefined }],
    ["answers for others first", (socket, id) => {
      socket.answer("unknown", 1);
      socket.receive({ type: "res", id });
      socket.answer(id, 2);
      socket.answer(id, 3);
    }, 2],
  ];
  for (const [name, act, expected] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await world.connected();
      const called = client.call("health", { probe: true });
      const [frame] = world.socket.requests("health");
      assert.deepEqual(frame, { type: "req", id: frame.id, method: "health", params: { probe: true } });
      act(world.socket, frame.id);
      if (!expected?.kind) return assert.deepEqual(await called, expected);
      const error = await failure(called);
      assert.equal(error.name, "CallError");
      const { kind, error: answered, payload } = error;
      assert.deepEqual({ kind, error: answered, payload }, expected);
      assert.equal(error.outcomeUnknown, false);
    });
  }
});

test("params that are left out are an empty object", async () => {
  const world = new World();
  const client = await world.connected();
  void client.call("health").catch(() => {});
  assert.deepEqual(world.socket.requests("health")[0].params, {});
});

test("a staged call gives its first answer and a promise of the last", async (t) => {
  const begin = async () => {
    const world = new World();
    const client = await world.connected();
    const called = client.call("agent", RUN);
    return { world, client, called, id: world.socket.requests("agent")[0].id };
  };
  await t.test("both", async () => {
    const { world, called, id } = await begin();
    world.socket.answer(id, ACCEPTED);
    const { first, last } = await called;
    assert.deepEqual(first, ACCEPTED);
    world.socket.answer(id, FINAL);
    world.socket.answer(id, "a third");
    assert.deepEqual(await last, FINAL);
  });
  await t.test("both at once", async () => {
    const { world, called, id } = await begin();
    world.socket.answer(id, ACCEPTED);
    world.socket.answer(id, FINAL);
    assert.deepEqual(await (await called).last, FINAL);
  });
  await t.test("a run that had ended", async () => {
    const { world, called, id } = await begin();
    world.socket.answer(id, FINAL);
    const { first, last } = await called;
    assert.equal(first, undefined);
    assert.deepEqual(await last, FINAL);
  });
  await t.test("refused at once", async () => {
    const { world, called, id } = await begin();
    world.socket.refuse(id, ERROR);
    assert.equal((await failure(called)).kind, "refused");
  });
  await t.test("a run that fails", async () => {
    const { world, called, id } = await begin();
    world.socket.answer(id, ACCEPTED);
    world.socket.refuse(id, ERROR, { runId: "run-1", status: "error", summary: "it broke" });
    const error = await failure((await called).last);
    assert.deepEqual([error.kind, error.payload.summary], ["refused", "it broke"]);
  });
  await t.test("a last answer that is left alone may fail", async () => {
    const { world, called, id } = await begin();
    world.socket.answer(id, ACCEPTED);
    await called;
    // An unhandled rejection would end the test run.
    world.socket.end();
    await settle();
  });
});

test("a call that is not answered ends", async (t) => {
  const cases = [
    ["the default time", {}, 60_000, "timeout"],
    ["a time of its own", { timeoutMs: 5 }, 5, "timeout"],
  ];
  for (const [name, options, ms, kind] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await world.connected({}, { policy: { maxPayload: 9999, tickIntervalMs: 3_600_000 } });
      const timers = world.timers;
      const failed = failure(client.call("health", {}, options));
      await world.pass(ms - 1);
      assert.equal(world.timers, timers + 1);
      await world.pass(1);
      const error = await failed;
      assert.deepEqual([error.kind, error.method, error.outcomeUnknown], [kind, "health", true]);
      assert.equal(world.timers, timers);
    });
  }
  await t.test("the last answer", async () => {
    const world = new World();
    const client = await world.connected({}, { policy: { maxPayload: 9999, tickIntervalMs: 3_600_000 } });
    const called = client.call("agent", RUN, { timeoutMs: 5, finalTimeoutMs: 50 });
    world.socket.answer("1", ACCEPTED);
    const outcomes = [];
    void failure((await called).last).then(({ kind }) => outcomes.push(kind));
    await world.pass(49);
    assert.deepEqual(outcomes, []);
    await world.pass(1);
    await settle();
    assert.deepEqual(outcomes, ["timeout"]);
  });
});

test("a call may be called off at any stage", async (t) => {
  const reason = new Error("no longer");
  const cases = [
    ["before it is sent", 0],
    ["before its answer", 1],
    ["before its last answer", 2],
  ];
  for (const [name, stage] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await world.connected();
      const timers = world.timers;
      const controller = new AbortController();
      if (stage === 0) controller.abort(reason);
      const called = client.call("agent", RUN, { signal: controller.signal });
      if (stage === 2) {
        world.socket.answer("1", ACCEPTED);
        const { last } = await called;
        controller.abort(reason);
        assert.equal(await failure(last), reason);
      } else {
        const failed = failure(called);
        controller.abort(reason);
        assert.equal(await failed, reason);
      }
      assert.equal(world.socket.requests("agent").length, stage === 0 ? 0 : 1);
      assert.equal(world.timers, timers);
    });
  }
});

test("a signal that outlives its call is left alone", async () => {
  const world = new World();
  const client = await world.connected();
  const { signal } = new AbortController();
  const called = client.call("health", {}, { signal });
  assert.equal(getEventListeners(signal, "abort").length, 1);
  world.socket.answer("1", "well");
  await called;
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("what cannot be sent is not sent", async (t) => {
  const loop = {};
  loop.loop = loop;
  const size = (length) => ({ message: "x".repeat(length), idempotencyKey: "k" });
  const empty = JSON.stringify({ type: "req", id: "1", method: "agent", params: size(0) }).length;
  const cases = [
    ["not JSON", (client) => client.call("agent", loop), "bad-params"],
    ["of the largest size", (client) => client.call("agent", size(524288 - empty)), undefined],
    ["too big by a byte", (client) => client.call("agent", size(524288 - empty + 1)), "too-big"],
    ["too big in bytes, not in characters", (client) => client.call("agent", { message: "é".repeat(262144), idempotencyKey: "k" }), "too-big"],
    ["the network is full", (client, socket) => {
      socket.bufferedAmount = MAX_BUFFERED - 10;
      return client.call("health");
    }, "busy"],
  ];
  for (const [name, act, kind] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = await world.connected();
      const called = act(client, world.socket);
      if (kind === undefined) {
        called.catch(() => {});
        await settle();
        assert.equal(world.socket.sent.length, 2);
      } else {
        const error = await failure(called);
        assert.deepEqual([error.kind, error.outcomeUnknown], [kind, false]);
        assert.equal(world.socket.sent.length, 1);
      }
    });
  }
});

test("pending calls are bounded, second answers included", async () => {
  const world = new World();
  const client = await world.connected();
  const calls = Array.from({ length: MAX_PENDING }, () => client.call("agent", RUN));
  calls.forEach((call) => call.catch(() => {}));
  world.socket.answer("1", ACCEPTED);
  const { last } = await calls[0];
  assert.equal((await failure(client.call("health"))).kind, "busy");
  world.socket.answer("1", FINAL);
  await last;
  const called = client.call("health");
  world.socket.answer(world.socket.requests("health")[0].id, "well");
  assert.equal(await called, "well");
});

test("without a connection nothing is sent, and what waits fails", async () => {
  const world = new World();
  const idle = world.client();
  assert.equal((await failure(idle.call("health"))).kind, "not-connected");

  const client = await world.connected();
  const one = failure(client.call("health"));
  const staged = client.call("agent", RUN);
  world.socket.answer("2", ACCEPTED);
  const last = failure((await staged).last);
  world.socket.end(1012, "service restart");
  for (const error of [await one, await last]) {
    assert.deepEqual([error.kind, error.outcomeUnknown], ["disconnected", true]);
    assert.deepEqual(error.disconnect, { by: "gateway", code: 1012, reason: "service restart" });
    assert.match(error.message, /1012: service restart/);
  }
  assert.equal((await failure(client.call("health"))).kind, "not-connected");
});
