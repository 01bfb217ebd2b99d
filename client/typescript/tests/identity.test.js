// Device keys and tokens (contract 2.4 and 2.5).

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  canSign,
  createIdentity,
  memoryTokenStore,
  storedIdentity,
  storedTokens,
} from "../../../generated/typescript/index.js";
import { signedText } from "../../../generated/typescript/identity.js";
import { failure } from "./support/fake.js";

/** The contract's key: seed 00 01 … 1f, as PKCS #8. */
const PRIVATE_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const PUBLIC_KEY = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
const DEVICE_ID = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";

/** A storage of one text. */
function storage(text = null) {
  return {
    text,
    getItem() {
      return this.text;
    },
    setItem(_, value) {
      this.text = value;
    },
  };
}

test("id and signatures are those of the contract", async (t) => {
  const entry = { version: 1, deviceId: "ignored", publicKey: PUBLIC_KEY, privateKey: PRIVATE_KEY, createdAtMs: 1 };
  const identity = await storedIdentity(storage(JSON.stringify(entry)));
  assert.equal(identity.deviceId, DEVICE_ID);
  assert.equal(identity.publicKey, PUBLIC_KEY);
  const cli = {
    deviceId: DEVICE_ID,
    clientId: "cli",
    clientMode: "cli",
    role: "operator",
    scopes: ["operator.read", "operator.write"],
    signedAt: 1769900000000,
    token: "tok",
  };
  const nonce = "11111111-2222-4333-8444-555555555555";
  const node = { ...cli, clientId: "node-host", clientMode: "node", role: "node", scopes: [], token: "" };
  const cases = [
    [
      cli,
      `v1|${DEVICE_ID}|cli|cli|operator|operator.read,operator.write|1769900000000|tok`,
      "S_0Cd0Es2eGK1W0odsHzXEEFfPBnkR0ig8Z3PqpeIVMTh7hWrkH6b9qOHfv7rDlr4nrs4G_K-pMKYHw0qjKmCg",
    ],
    [
      { ...cli, nonce },
      `v2|${DEVICE_ID}|cli|cli|operator|operator.read,operator.write|1769900000000|tok|${nonce}`,
      "PtEdQb_It_qQqfgVYxR6NgG-wFcWH_V03Bnk3j2brr_gtHW--4O46aSvq0qZWFzL602p21E48r5LOIcwhMyWAQ",
    ],
    [
      node,
      `v1|${DEVICE_ID}|node-host|node|node||1769900000000|`,
      "XOez57W4Y_5jUOA5jd0qZVLuQ5bmmhZpZgsxsePYzw3HooHxzIIgBpOc93TjN-phS2i9aZR4uSkzokwx2MOPCw",
    ],
  ];
  for (const [fields, text, signature] of cases) {
    await t.test(text.slice(0, 2), async () => {
      assert.equal(signedText(fields), text);
      assert.equal(await identity.sign(text), signature);
    });
  }
});

test("a stored identity is made once", async () => {
  const kept = storage();
  const made = await storedIdentity(kept);
  const entry = JSON.parse(kept.text);
  assert.deepEqual(Object.keys(entry), ["version", "deviceId", "publicKey", "privateKey", "createdAtMs"]);
  const again = await storedIdentity(kept);
  assert.deepEqual([again.deviceId, again.publicKey], [made.deviceId, made.publicKey]);
  assert.equal(await again.sign("x"), await made.sign("x"));
  assert.match(made.deviceId, /^[0-9a-f]{64}$/);
  assert.notEqual((await storedIdentity(storage())).deviceId, made.deviceId);
});

test("a damaged identity is an error and stays", async (t) => {
  const other = storage();
  await storedIdentity(other);
  const good = { version: 1, deviceId: DEVICE_ID, publicKey: PUBLIC_KEY, privateKey: PRIVATE_KEY, createdAtMs: 1 };
  const cases = [
    ["no JSON", ""],
    ["nothing", "null"],
    ["version", JSON.stringify({ ...good, version: 2 })],
    ["no key", JSON.stringify({ ...good, privateKey: "AAAA" })],
    ["no base64", JSON.stringify({ ...good, privateKey: "é" })],
    ["another's key", JSON.stringify({ ...good, publicKey: JSON.parse(other.text).publicKey })],
  ];
  for (const [name, text] of cases) {
    await t.test(name, async () => {
      const kept = storage(text);
      const error = await failure(storedIdentity(kept, "my.key"));
      assert.match(error.message, /my\.key is damaged/);
      assert.notEqual(error.cause, undefined);
      assert.equal(kept.text, text);
    });
  }
});

test("an identity of the moment signs", async () => {
  assert.equal(await canSign(), true);
  const [one, two] = [await createIdentity(), await createIdentity()];
  assert.notEqual(one.deviceId, two.deviceId);
  assert.equal((await one.sign("x")).length, 86);
});

test("tokens are kept by device and role", async (t) => {
  const kept = storage();
  for (const [name, store] of [["memory", memoryTokenStore()], ["storage", storedTokens(kept)]]) {
    await t.test(name, () => {
      assert.equal(store.get("d", "node"), undefined);
      store.put("d", "node", "n", ["b", "a", "b"]);
      store.put("d", "operator", "o", []);
      assert.deepEqual([store.get("d", "node"), store.get("d", "operator")], ["n", "o"]);
      store.forget("d", "node", "older");
      assert.equal(store.get("d", "node"), "n");
      store.forget("d", "node", "n");
      assert.deepEqual([store.get("d", "node"), store.get("d", "operator")], [undefined, "o"]);
      assert.equal(store.get("another", "operator"), undefined);
      store.put("another", "node", "x", []);
      assert.equal(store.get("d", "operator"), undefined);
    });
  }
  const { updatedAtMs, ...entry } = JSON.parse(kept.text).tokens.node;
  assert.deepEqual(entry, { token: "x", role: "node", scopes: [] });
  assert.equal(typeof updatedAtMs, "number");
});

test("what a newer client wrote beside a token is kept", () => {
  const kept = storage('{"version":1,"deviceId":"d","tokens":{"node":{"token":"t","later":1}}}');
  storedTokens(kept).put("d", "node", "t2", []);
  const entry = JSON.parse(kept.text).tokens.node;
  assert.deepEqual([entry.token, entry.later], ["t2", 1]);
});

test("what is not ours counts as empty", async (t) => {
  const cases = [
    "",
    "[]",
    '{"version":2,"deviceId":"d","tokens":{"node":{"token":"t"}}}',
    '{"version":1,"tokens":{"node":{"token":"t"}}}',
    '{"version":1,"deviceId":"d","tokens":[]}',
    '{"version":1,"deviceId":"d","tokens":{"node":"t"}}',
    '{"version":1,"deviceId":"d","tokens":{"node":{"token":5}}}',
    '{"version":1,"deviceId":"d","tokens":{"node":{"token":""}}}',
  ];
  for (const text of cases) {
    await t.test(text || "nothing", () => {
      const store = storedTokens(storage(text));
      assert.equal(store.get("d", "node"), undefined);
      store.put("d", "node", "t", []);
      assert.equal(store.get("d", "node"), "t");
    });
  }
});
