// The client against the real gateway, whose binary OPENCLAW_GATEWAY_BIN names.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { createIdentity, GatewayClient, memoryTokenStore } from "../../../generated/typescript/index.js";
import { Gateway } from "./support/gateway.js";
import { failure } from "./support/fake.js";

const binary = process.env.OPENCLAW_GATEWAY_BIN;

/** How long anything may take that needs a process: generous, because two test processes may share one core. */
const PATIENCE_MS = 30_000;

describe("a real gateway", { skip: !binary && "OPENCLAW_GATEWAY_BIN is not set", timeout: 4 * PATIENCE_MS }, () => {
  let gateway;
  let token;
  const clients = [];

  before(async () => {
    gateway = await Gateway.start(binary);
    token = await gateway.token();
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await gateway.remove();
  });

  function client(options) {
    const made = new GatewayClient({
      url: gateway.url,
      client: { id: "test", version: "1", platform: "node", mode: "test" },
      backoff: { firstMs: 20, longestMs: 200 },
      connectTimeoutMs: PATIENCE_MS,
      ...options,
    });
    clients.push(made);
    return made;
  }

  test("a signed connect brings a token, which opens the door alone", async () => {
    const identity = await createIdentity();
    const tokenStore = memoryTokenStore();
    const hello = await client({ identity, tokenStore, token }).connect();
    assert.equal(hello.auth.role, "operator");
    assert.equal(tokenStore.get(identity.deviceId, "operator"), hello.auth.deviceToken);
    const again = await client({ identity, tokenStore }).connect();
    assert.equal(again.auth.deviceToken, hello.auth.deviceToken);
  });

  test("a token that the gateway does not know is replaced with the shared one's help", async () => {
    const identity = await createIdentity();
    const tokenStore = memoryTokenStore();
    tokenStore.put(identity.deviceId, "operator", "0".repeat(32), []);
    const hello = await client({ identity, tokenStore, token }).connect();
    assert.equal(tokenStore.get(identity.deviceId, "operator"), hello.auth.deviceToken);
  });

  test("secrets that are wrong or missing are told apart", async (t) => {
    const identity = await createIdentity();
    const forged = { ...identity, sign: () => "A".repeat(86) };
    const cases = [
      ["wrong", { token: "wrong" }, "unauthorized", /token mismatch/],
      ["missing, with a device", { identity }, "unauthorized", /token missing/],
      ["missing, without a device", {}, "device-identity-required", /know this device/],
      ["a forged signature", { identity: forged, token }, "refused", /device signature invalid/],
    ];
    for (const [name, options, kind, words] of cases) {
      await t.test(name, async () => {
        const error = await failure(client(options).connect());
        assert.deepEqual([error.kind, error.isFinal], [kind, true], error.message);
        assert.match(error.message, words);
      });
    }
  });

  test("calls are answered or refused", async () => {
    const operator = client({ token });
    const hello = await operator.connect();
    assert.equal((await operator.call("health")).ok, true);
    assert.equal(await operator.call("last-heartbeat"), null);
    const all = await Promise.all([operator.call("status"), operator.call("sessions.list"), operator.call("system-presence")]);
    assert.ok(all[2].some(({ mode }) => mode === "test"));
    const error = await failure(operator.call("agent.wait", {}));
    assert.deepEqual([error.kind, error.error.code], ["refused", "INVALID_REQUEST"]);
    assert.match(error.message, /must have required property 'runId'/);
    const reader = client({ token, scopes: ["operator.read"] });
    await reader.connect();
    assert.match((await failure(reader.call("agent.wait", { runId: "r" }))).message, /missing scope/);
    assert.equal(hello.policy.maxPayload, 524288);
  });

  test("an agent answers twice, and its events stream in between", async () => {
    const operator = client({ token });
    const notices = operator.notices("agent", "chat");
    await operator.connect();
    const params = { message: "hello there", sessionKey: "main", idempotencyKey: crypto.randomUUID() };
    const { first, last } = await operator.call("agent", params);
    assert.deepEqual([first.status, first.runId], ["accepted", params.idempotencyKey]);
    const { status, result } = await last;
    assert.equal(status, "ok");
    assert.match(result.payloads[0].text, /hello there/);

    const streams = [];
    let words = "";
    for await (const { kind, name, payload } of notices) {
      assert.equal(kind, "event");
      if (name !== "agent" || payload.runId !== params.idempotencyKey) continue;
      if (payload.stream !== streams.at(-1)) streams.push(payload.stream);
      words += payload.data.delta ?? "";
      if (payload.stream === "lifecycle" && payload.data.phase === "end") break;
    }
    assert.deepEqual(streams, ["lifecycle", "assistant", "lifecycle"]);
    assert.equal(words, result.payloads[0].text);

    const repeated = await operator.call("agent", params);
    assert.equal(repeated.first, undefined);
    assert.deepEqual(await repeated.last, { status, result, runId: params.idempotencyKey, summary: "completed" });
    // Accepted, though nothing says which conversation is meant; refused in the second answer.
    const failed = await operator.call("agent", { message: "x", idempotencyKey: crypto.randomUUID() });
    const error = await failure(failed.last);
    assert.deepEqual([error.kind, error.payload.status], ["refused", "error"]);
  });

  test("a client comes back after a restart", async () => {
    const identity = await createIdentity();
    const operator = client({ identity, token, tokenStore: memoryTokenStore() });
    const notices = operator.notices("shutdown");
    const before = await operator.connect();
    await gateway.stop();
    await gateway.start();
    const seen = [];
    for await (const notice of notices) {
      seen.push(notice);
      if (notice.kind === "reconnected") break;
    }
    assert.deepEqual(seen.map(({ kind, name }) => name ?? kind), ["shutdown", "disconnected", "reconnected"]);
    assert.deepEqual(seen[1].cause, { by: "gateway", code: 1012, reason: "service restart" });
    assert.notEqual(operator.hello.server.connId, before.server.connId);
    assert.equal(operator.hello.auth.deviceToken, before.auth.deviceToken);
    assert.equal((await operator.call("health")).ok, true);
  });

  test("a close is answered, and the client is gone", async () => {
    const operator = client({ token });
    await operator.connect();
    const causes = [];
    operator.onConnection((notice) => causes.push(notice));
    await operator.close();
    assert.deepEqual(causes, [{ kind: "disconnected", cause: { by: "client" } }]);
    assert.equal((await failure(operator.call("health"))).kind, "not-connected");
  });
});
