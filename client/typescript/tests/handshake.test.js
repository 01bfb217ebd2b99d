// From nothing to hello-ok (contract 2).

import assert from "node:assert/strict";
import { test } from "node:test";

import { ERRORS, LIMITS, memoryTokenStore } from "../../../generated/typescript/index.js";
import { failure, HELLO, IDENTITY, NOW, settle, World } from "./support/fake.js";

test("connect says who connects, and nothing that was not given", async (t) => {
  const always = {
    minProtocol: 3,
    maxProtocol: 3,
    client: { id: "test", version: "1", platform: "test", mode: "test" },
    role: "operator",
  };
  const signed = (...fields) => ({
    id: "device-1",
    publicKey: "key-1",
    signature: ["v2", "device-1", "test", "test", ...fields, "nonce-1"].join("|"),
    signedAt: NOW,
    nonce: "nonce-1",
  });
  const cases = [
    ["nothing", {}, {}],
    ["empty secrets and lists", { token: "", password: "", scopes: [], caps: [], permissions: {} }, {}],
    ["a token", { token: "t" }, { auth: { token: "t" } }],
    ["a password", { password: "p" }, { auth: { password: "p" } }],
    [
      "a device",
      { identity: IDENTITY, token: "t", password: "p", scopes: ["operator.read", "operator.write"] },
      {
        auth: { token: "t", password: "p" },
        scopes: ["operator.read", "operator.write"],
        device: signed("operator", "operator.read,operator.write", String(NOW), "t"),
      },
    ],
    [
      "a node",
      {
        identity: IDENTITY,
        role: "node",
        caps: ["camera"],
        commands: ["camera.snap"],
        permissions: { camera: true },
        pathEnv: "/bin",
        locale: "de",
        userAgent: "ua",
      },
      {
        role: "node",
        caps: ["camera"],
        commands: ["camera.snap"],
        permissions: { camera: true },
        pathEnv: "/bin",
        locale: "de",
        userAgent: "ua",
        device: signed("node", "", String(NOW), ""),
      },
    ],
  ];
  for (const [name, options, expected] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = world.client(options);
      const connecting = client.connect();
      const params = await world.greet();
      assert.deepEqual(params, { ...always, ...expected });
      assert.equal((await connecting).type, "hello-ok");
      assert.equal(client.connected, true);
      assert.equal(client.hello.server.connId, "c-1");
    });
  }
});

test("without a challenge the first version is signed, once", async () => {
  const world = new World();
  void world.client({ identity: IDENTITY }).connect();
  await settle();
  await world.pass(LIMITS.challengeWaitMs);
  assert.deepEqual(world.socket.sent, [], "the wait begins when the socket is open");
  world.socket.open();
  await world.pass(LIMITS.challengeWaitMs - 1);
  assert.deepEqual(world.socket.sent, []);
  await world.pass(1);
  world.socket.event("connect.challenge", { nonce: "late", ts: NOW });
  await settle();
  const [{ params }] = world.socket.requests("connect");
  assert.equal(params.device.signature, `v1|device-1|test|test|operator||${NOW}|`);
  assert.equal("nonce" in params.device, false);
  assert.equal(world.socket.sent.length, 1);
});

test("refusals are sorted by what a user can do about them", async (t) => {
  const of = ({ code, text }, details) => ({ code, message: text, ...(details && { details }) });
  const cases = [
    [of(ERRORS.tokenMismatch), "unauthorized", true, {}],
    [of(ERRORS.passwordMissing), "unauthorized", true, {}],
    [{ code: "INVALID_REQUEST", message: "unauthorized" }, "unauthorized", true, {}],
    [of(ERRORS.unauthorizedRole), "refused", true, {}],
    [of(ERRORS.pairingRequired, { requestId: "r-1" }), "pairing-required", true, { requestId: "r-1" }],
    [of(ERRORS.pairingRequired), "pairing-required", true, {}],
    [of(ERRORS.deviceIdentityRequired), "device-identity-required", true, {}],
    [of(ERRORS.protocolMismatch, { expectedProtocol: 4 }), "protocol-mismatch", true, { gatewayProtocol: 4 }],
    [of(ERRORS.deviceNonceRequired), "refused", false, {}],
    [of(ERRORS.deviceSignatureExpired), "refused", false, {}],
    [of(ERRORS.deviceSignatureInvalid), "refused", true, {}],
    [{ code: "UNAVAILABLE", message: "store" }, "refused", false, {}],
  ];
  for (const [answer, kind, isFinal, facts] of cases) {
    await t.test(answer.message, async () => {
      const world = new World();
      const failed = failure(world.client().connect());
      await world.introduce();
      world.socket.refuse("connect", answer);
      const error = await failed;
      assert.equal(error.name, "ConnectError");
      assert.deepEqual([error.kind, error.isFinal], [kind, isFinal]);
      assert.deepEqual(error.error, answer);
      const { requestId, gatewayProtocol } = { requestId: undefined, gatewayProtocol: undefined, ...facts };
      assert.deepEqual([error.requestId, error.gatewayProtocol], [requestId, gatewayProtocol]);
      assert.deepEqual(world.socket.closed, [4008, "connect failed"]);
      assert.equal(world.timers, 0);
    });
  }
});

test("a handshake that comes to no answer says how", async (t) => {
  const cases = [
    ["nobody listens", async (world) => world.socket.end(), "unreachable", false],
    ["closed while open", async (world) => (world.socket.open(), world.socket.end(1008, "no")), "ended", false],
    ["closed after connect", async (world) => (await world.introduce(), world.socket.end(1000)), "ended", false],
    ["no socket in time", (world) => world.pass(10_000), "timeout", false],
    ["no hello in time", async (world) => (await world.introduce(), world.pass(10_000)), "timeout", false],
    ["no hello", async (world) => (await world.introduce(), world.socket.answer("connect", {})), "bad-hello", false],
    [
      "a hello without policy",
      async (world) => (await world.introduce(), world.socket.answer("connect", { type: "hello-ok" })),
      "bad-hello",
      false,
    ],
    ["no reason", async (world) => (await world.introduce(), world.socket.refuse("connect")), "bad-hello", false],
    ["closed by its user", (_, client) => client.close(), "misused", true],
  ];
  for (const [name, act, kind, isFinal] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const client = world.client();
      const failed = failure(client.connect());
      await settle();
      await act(world, client);
      const error = await failed;
      assert.deepEqual([error.kind, error.isFinal], [kind, isFinal]);
      assert.equal(client.connected, false);
      assert.equal(world.timers, 0);
    });
  }
});

test("what cannot be sent is told at once", async (t) => {
  const cases = [
    ["a URL that is none", { environment: { WebSocket: class { constructor() { throw new SyntaxError("bad URL"); } } } }, "bad URL"],
    ["a key that does not sign", { identity: { ...IDENTITY, sign: () => { throw new Error("locked"); } } }, "locked"],
  ];
  for (const [name, options, words] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const failed = failure(world.client(options).connect());
      await settle();
      if (world.socket) await world.introduce().catch(() => {});
      const error = await failed;
      assert.equal(error.kind, "bad-options");
      assert.match(error.message, new RegExp(words));
    });
  }
});

test("what takes its time is not sent on a connection that has ended", async (t) => {
  await t.test("a signature", async () => {
    const world = new World();
    let sign;
    const identity = { ...IDENTITY, sign: () => new Promise((resolve) => (sign = resolve)) };
    const failed = failure(world.client({ identity }).connect());
    await settle();
    world.socket.open();
    world.socket.event("connect.challenge", { nonce: "nonce-1", ts: NOW });
    await settle();
    world.socket.end();
    sign("signature");
    assert.equal((await failed).kind, "ended");
    assert.deepEqual(world.socket.sent, []);
  });
  await t.test("a stored token", async () => {
    const world = new World();
    let found;
    const tokenStore = { ...memoryTokenStore(), get: () => new Promise((resolve) => (found = resolve)) };
    const client = world.client({ identity: IDENTITY, tokenStore });
    const failed = failure(client.connect());
    await client.close();
    found("token");
    assert.equal((await failed).kind, "misused");
    assert.equal(world.sockets.length, 0);
  });
});

test("answers and events of strangers do not disturb the handshake", async () => {
  const world = new World();
  const connecting = world.client().connect();
  await settle();
  world.socket.open();
  for (const frame of ["", "{", "null", { type: "event", event: "connect.challenge", payload: { nonce: "" } }]) {
    world.socket.receive(frame);
  }
  world.socket.answer("connect", { type: "hello-ok" });
  await settle();
  assert.deepEqual(world.socket.sent, []);
  await world.introduce();
  world.socket.answer("other", { type: "hello-ok" });
  world.socket.event("tick", { ts: 1 });
  world.socket.event("connect.challenge", { nonce: "another", ts: NOW });
  world.socket.answer("connect", HELLO);
  assert.equal((await connecting).protocol, 3);
  assert.equal(world.socket.sent.length, 1);
});

test("a failed first attempt may be repeated, a closed client may not", async () => {
  const world = new World();
  const client = world.client();
  const failed = failure(client.connect());
  await settle();
  assert.equal((await failure(client.connect())).kind, "misused");
  world.socket.end();
  assert.equal((await failed).kind, "unreachable");
  const connecting = client.connect();
  await world.greet();
  await connecting;
  assert.equal((await failure(client.connect())).kind, "misused");
  const closing = client.close();
  world.socket.end(1000);
  await closing;
  assert.equal((await failure(client.connect())).kind, "misused");
  assert.equal(world.sockets.length, 2);
});

test("tokens of the device are tried first, kept, and forgotten when refused", async (t) => {
  const mismatch = { code: "INVALID_REQUEST", message: ERRORS.tokenMismatch.text };
  const issued = { auth: { deviceToken: "issued", role: "operator", scopes: ["b", "a"] } };
  const cases = [
    // [stored, shared, answers, tokens sent, stored afterwards]
    ["none yet", undefined, "shared", [issued], ["shared"], "issued"],
    ["none at all", undefined, undefined, [issued], [undefined], "issued"],
    ["stored", "stored", "shared", [{}], ["stored"], "stored"],
    ["replaced", "stored", undefined, [issued], ["stored"], "issued"],
    ["refused", "stored", "shared", [mismatch, issued], ["stored", "shared"], "issued"],
    ["both refused", "stored", "shared", [mismatch, mismatch], ["stored", "shared"], undefined],
    ["refused without another", "stored", undefined, [mismatch], ["stored"], "stored"],
    ["refused as the same", "same", "same", [mismatch], ["same"], "same"],
    ["refused for another reason", "stored", "shared", [{ code: "UNAVAILABLE", message: "x" }], ["stored"], "stored"],
  ];
  for (const [name, stored, shared, answers, sent, after] of cases) {
    await t.test(name, async () => {
      const world = new World();
      const tokenStore = memoryTokenStore();
      if (stored) tokenStore.put("device-1", "operator", stored, []);
      const client = world.client({ identity: IDENTITY, tokenStore, ...(shared && { token: shared }) });
      const connecting = client.connect().catch(() => {});
      const tokens = [];
      for (const answer of answers) {
        const params = await world.introduce();
        tokens.push(params.auth?.token);
        assert.equal(params.device.signature.split("|")[7], params.auth?.token ?? "");
        if (answer.code) world.socket.refuse("connect", answer);
        else await world.greet(answer);
      }
      await connecting;
      assert.deepEqual(tokens, sent);
      assert.equal(tokenStore.get("device-1", "operator"), after);
      assert.equal(world.sockets.length, answers.length);
    });
  }
});

test("a store that fails is told and does without", async () => {
  const fail = () => {
    throw new Error("full");
  };
  const world = new World();
  const tokenStore = { get: fail, put: fail, forget: fail };
  const client = world.client({ identity: IDENTITY, token: "shared", tokenStore });
  const connecting = client.connect();
  const params = await world.greet({ auth: { deviceToken: "issued", role: "operator", scopes: [] } });
  await connecting;
  assert.equal(params.auth.token, "shared");
  assert.deepEqual(world.warnings, Array(2).fill("going on without the device's token"));
});
