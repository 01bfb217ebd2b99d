// Copied by `cargo run -p codegen` from client/typescript/src/handshake.js. Do not edit.

/**
 * From nothing to hello-ok: open, challenge, connect (contract 2). Called by `client.js`.
 *
 * @import { Socket } from "./api.js"
 * @import { Settings } from "./settings.js"
 * @import { ConnectDevice, ConnectParams, HelloOk } from "./types.js"
 */

import { ConnectError, refusal, words } from "./errors.js";
import { signedText } from "./identity.js";
import { LIMITS, VERSION } from "./protocol.js";
import { read, request } from "./wire.js";

/** Id of the connect request, the only one in flight then. */
const CONNECT_ID = "connect";

/** Closes a connection that did not come to a hello; a browser may not send 1008 (contract 1.4). */
const CONNECT_FAILED = /** @type {const} */ ([4008, "connect failed"]);

/**
 * Connects once. A stored device token is tried first; when the gateway refuses it and there is a shared
 * token, the stored one is forgotten and the shared one tried (contract 12).
 *
 * @param {Settings} settings
 * @param {AbortSignal} stop Gives the attempt up.
 * @param {(socket: Socket, hello: HelloOk) => void} attach Takes the connection over before its next message.
 * @throws {ConnectError}
 */
export async function establish(settings, stop, attach) {
  const { options } = settings;
  const shared = options.token || undefined;
  const stored = await withStore(settings, (store, device, role) => store.get(device, role));
  const hello = await attempt(settings, stored ?? shared, stop, attach).catch(async (error) => {
    if (error.kind !== "unauthorized" || !stored || !shared || stored === shared) throw error;
    await withStore(settings, (store, device, role) => store.forget(device, role, stored));
    return attempt(settings, shared, stop, attach);
  });
  await withStore(settings, async (store, device) => {
    const { auth } = hello;
    if (auth && (await store.get(device, auth.role)) !== auth.deviceToken) {
      await store.put(device, auth.role, auth.deviceToken, auth.scopes);
    }
  });
  return hello;
}

/**
 * Works on the token store. `undefined` without a store, without a device, or when it failed, which is
 * told: the shared secret still works.
 *
 * @template T
 * @param {Settings} settings
 * @param {(store: import("./api.js").TokenStore, device: string, role: string) => import("./api.js").Awaitable<T>} work
 */
async function withStore({ options, role, warn }, work) {
  const { tokenStore, identity } = options;
  if (!tokenStore || !identity) return undefined;
  try {
    return await work(tokenStore, identity.deviceId, role);
  } catch (error) {
    warn("going on without the device's token", error);
    return undefined;
  }
}

/**
 * One attempt with one token, within the time limit.
 *
 * @param {Settings} settings
 * @param {string | undefined} token
 * @param {AbortSignal} stop
 * @param {(socket: Socket, hello: HelloOk) => void} attach
 * @returns {Promise<HelloOk>}
 */
function attempt(settings, token, stop, attach) {
  const { url } = settings.options;
  const { WebSocket, setTimeout, clearTimeout } = settings.environment;
  return new Promise((resolve, reject) => {
    if (stop.aborted) throw stop.reason;
    let socket = open(WebSocket, url);
    /** @type {"opening" | "waiting" | "signing" | "introduced" | "ended"} */
    let state = "opening";
    /** @type {unknown} */
    let challengeTimer;

    const end = () => {
      state = "ended";
      clearTimeout(overallTimer);
      clearTimeout(challengeTimer);
      stop.removeEventListener("abort", stopped);
      socket.onopen = socket.onmessage = socket.onclose = null;
    };
    const fail = (/** @type {ConnectError} */ error) => {
      if (state === "ended") return;
      end();
      socket.close(...CONNECT_FAILED);
      reject(error);
    };
    const stopped = () => fail(stop.reason);
    const introduce = async (/** @type {string | undefined} */ nonce) => {
      state = "signing";
      clearTimeout(challengeTimer);
      try {
        const text = request(CONNECT_ID, "connect", await connectParams(settings, token, nonce));
        if (state !== "signing") return;
        socket.send(text);
        state = "introduced";
      } catch (cause) {
        fail(new ConnectError("bad-options", `cannot connect: ${cause}`, { cause }));
      }
    };

    const { connectTimeoutMs } = settings;
    const overallTimer = setTimeout(() => {
      const message = `the gateway at ${url} did not answer within ${connectTimeoutMs / 1000} s`;
      fail(new ConnectError("timeout", message));
    }, connectTimeoutMs);
    stop.addEventListener("abort", stopped);

    socket.onopen = () => {
      state = "waiting";
      // Without a challenge the first version of the signature is sent.
      challengeTimer = setTimeout(() => void introduce(undefined), LIMITS.challengeWaitMs);
    };
    socket.onmessage = ({ data }) => {
      const frame = read(data);
      if (frame?.type === "event" && frame.name === "connect.challenge" && state === "waiting") {
        const nonce = Object(frame.payload).nonce;
        if (typeof nonce === "string" && nonce !== "") void introduce(nonce);
      } else if (frame?.type === "res" && frame.id === CONNECT_ID && state === "introduced") {
        const hello = answer(frame, url);
        if (hello instanceof ConnectError) return fail(hello);
        end();
        attach(socket, hello);
        resolve(hello);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (state === "opening") {
        const message = `cannot reach the gateway at ${url}. Is it running? Start it with \`openclaw gateway\`, or pass another URL`;
        return fail(new ConnectError("unreachable", message));
      }
      const disconnect = /** @type {const} */ ({ by: "gateway", code, reason });
      const message = `the gateway at ${url} ended the connection during the handshake: ${words(disconnect)}`;
      fail(new ConnectError("ended", message, { disconnect }));
    };
    // A close follows; some implementations throw errors that nobody listens to.
    socket.onerror = () => {};
  });
}

/**
 * @param {new (url: string) => Socket} WebSocket
 * @param {string} url
 */
function open(WebSocket, url) {
  try {
    return new WebSocket(url);
  } catch (cause) {
    throw new ConnectError("bad-options", `cannot connect to ${url}: ${cause}`, { cause });
  }
}

/**
 * @param {import("./wire.js").Response} response
 * @param {string} url
 * @returns {HelloOk | ConnectError}
 */
function answer({ ok, error, payload }, url) {
  const bad = (/** @type {string} */ why) =>
    new ConnectError("bad-hello", `the gateway at ${url} sent a hello that cannot be read: ${why}`);
  if (!ok) return error ? refusal(error) : bad("it refuses without an error");
  const hello = Object(payload);
  if (hello.type !== "hello-ok") return bad("it is not marked as one");
  const { maxPayload, tickIntervalMs } = Object(hello.policy);
  if (typeof maxPayload !== "number" || typeof tickIntervalMs !== "number") return bad("it has no policy");
  return hello;
}

/**
 * @param {Settings} settings
 * @param {string | undefined} token
 * @param {string | undefined} nonce
 * @returns {Promise<ConnectParams>}
 */
async function connectParams(settings, token, nonce) {
  const { client, role: asked, scopes, caps, commands, permissions, pathEnv, locale, userAgent, ...rest } =
    settings.options;
  const { identity } = rest;
  const password = rest.password || undefined;
  return {
    minProtocol: VERSION,
    maxProtocol: VERSION,
    client,
    role: settings.role,
    ...list("scopes", scopes),
    ...list("caps", caps),
    ...list("commands", commands),
    ...(permissions && Object.keys(permissions).length > 0 && { permissions: { ...permissions } }),
    ...(pathEnv !== undefined && { pathEnv }),
    ...(locale !== undefined && { locale }),
    ...(userAgent !== undefined && { userAgent }),
    ...((token || password) && { auth: { ...(token && { token }), ...(password && { password }) } }),
    ...(identity && { device: await device(settings, identity, token, nonce) }),
  };
}

/**
 * A list for the wire: absent when empty.
 *
 * @template {string} Name
 * @param {Name} name
 * @param {readonly string[] | undefined} texts
 */
function list(name, texts) {
  const member = /** @type {{ [N in Name]?: string[] }} */ ({});
  if (texts && texts.length > 0) member[name] = [...texts];
  return member;
}

/**
 * The device's proof over the very fields that are sent.
 *
 * @param {Settings} settings
 * @param {import("./api.js").DeviceIdentity} identity
 * @param {string | undefined} token
 * @param {string | undefined} nonce
 * @returns {Promise<ConnectDevice>}
 */
async function device(settings, identity, token, nonce) {
  const { client, scopes = [] } = settings.options;
  const { deviceId, publicKey } = identity;
  const signedAt = settings.environment.now();
  const text = signedText({
    deviceId,
    clientId: client.id,
    clientMode: client.mode,
    role: settings.role,
    scopes,
    signedAt,
    token: token ?? "",
    ...(nonce !== undefined && { nonce }),
  });
  const signature = await identity.sign(text);
  return { id: deviceId, publicKey, signature, signedAt, ...(nonce !== undefined && { nonce }) };
}
