// Copied by `cargo run -p codegen` from client/typescript/src/wire.js. Do not edit.

/**
 * Frames as text: requests out, responses and events in. Used by `handshake.js`, `link.js` and `calls.js`.
 *
 * @import { ErrorShape, Json, StateVersion } from "./types.js"
 */

/**
 * A response of the gateway.
 *
 * @typedef {object} Response
 * @property {"res"} type
 * @property {string} id
 * @property {boolean} ok
 * @property {Json} payload `null` when it is absent.
 * @property {ErrorShape} [error]
 */

/**
 * An event of the gateway.
 *
 * @typedef {object} Event
 * @property {"event"} type
 * @property {string} name
 * @property {Json} payload `null` when it is absent.
 * @property {number} [seq]
 * @property {StateVersion} [stateVersion]
 */

/**
 * The text of a request frame.
 *
 * @param {string} id
 * @param {string} method
 * @param {unknown} params
 * @throws {TypeError} when the params are no JSON.
 */
export function request(id, method, params) {
  return JSON.stringify({ type: "req", id, method, params });
}

/**
 * Reads a frame of the gateway. Members that are not known are skipped: a newer gateway may send them.
 * `undefined` for what is no such frame, which clients ignore (contract 12).
 *
 * @param {unknown} data
 * @returns {Response | Event | undefined}
 */
export function read(data) {
  if (typeof data !== "string") return undefined;
  /** @type {any} */
  let frame;
  try {
    frame = JSON.parse(data);
  } catch {
    return undefined;
  }
  const payload = frame?.payload ?? null;
  switch (frame?.type) {
    case "res": {
      const { id, ok, error } = frame;
      if (typeof id !== "string" || typeof ok !== "boolean") return undefined;
      return { type: "res", id, ok, payload, ...(isError(error) && { error }) };
    }
    case "event": {
      const { event: name, seq, stateVersion } = frame;
      if (typeof name !== "string" || !(seq === undefined || isCount(seq))) return undefined;
      return {
        type: "event",
        name,
        payload,
        ...(seq !== undefined && { seq }),
        ...(isStateVersion(stateVersion) && { stateVersion }),
      };
    }
    default:
      return undefined;
  }
}

/** @param {any} value @returns {value is ErrorShape} */
function isError(value) {
  return typeof value?.code === "string" && typeof value.message === "string";
}

/** @param {any} value @returns {value is StateVersion} */
function isStateVersion(value) {
  return isCount(value?.presence) && isCount(value.health);
}

/** @param {unknown} value @returns {value is number} */
function isCount(value) {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
