// Copied by `cargo run -p codegen` from client/typescript/src/settings.js. Do not edit.

/**
 * A client's options with what is missing filled in. Made by `client.js`, read by what it stands on.
 *
 * @import { ClientOptions, Environment } from "./api.js"
 */

import { DEFAULT_BACKOFF } from "./backoff.js";
import { ConnectError } from "./errors.js";
import { LIMITS } from "./protocol.js";

/** Time for everything up to hello-ok: the original command line gives up after as long. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Time for one call. Longer than `agent.wait` waits when not told otherwise. */
const CALL_TIMEOUT_MS = 60_000;

/**
 * Time for the second answer of a staged call: the longest run that is not asked for explicitly, and a
 * minute for what surrounds it.
 */
const FINAL_TIMEOUT_MS = (LIMITS.agentTimeoutSeconds + 60) * 1000;

/**
 * @typedef {ReturnType<typeof settings>} Settings
 */

/** @param {ClientOptions} options */
export function settings(options) {
  const { backoff } = options;
  return {
    options,
    role: options.role ?? "operator",
    reconnect: options.reconnect ?? "unless-refused",
    backoff: {
      firstMs: backoff?.firstMs ?? DEFAULT_BACKOFF.firstMs,
      longestMs: backoff?.longestMs ?? DEFAULT_BACKOFF.longestMs,
      jitter: backoff?.jitter ?? DEFAULT_BACKOFF.jitter,
    },
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    callTimeoutMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS,
    finalTimeoutMs: options.finalTimeoutMs ?? FINAL_TIMEOUT_MS,
    warn: options.warn ?? ((message, error) => console.warn(message, error)),
    environment: environment(options.environment ?? {}),
  };
}

/**
 * What is given, else what is there. Functions lose their object: a browser's own refuse any but theirs.
 *
 * @param {Partial<Environment>} given
 * @returns {Environment}
 */
function environment(given) {
  const { setTimeout = globalThis.setTimeout, clearTimeout = globalThis.clearTimeout } = given;
  const { now = Date.now, random = Math.random } = given;
  return {
    WebSocket: given.WebSocket ?? globalThis.WebSocket ?? NoWebSocket,
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => now(),
    random: () => random(),
  };
}

/** Stands in where there is none, so that only connecting fails. */
class NoWebSocket {
  constructor() {
    const advice = "pass environment.WebSocket, or run Node 22 or newer";
    throw new ConnectError("bad-options", `there is no WebSocket here: ${advice}`);
  }
}
