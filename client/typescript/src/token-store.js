/**
 * The device tokens that gateways have issued to this device (contract 2.4). Used by `handshake.js` and by
 * programs.
 *
 * @import { TextStorage, TokenStore } from "./api.js"
 */

/** The one version of the entry there is. */
const ENTRY_VERSION = 1;

/**
 * Tokens that are gone with the page or process.
 *
 * @returns {TokenStore}
 */
export function memoryTokenStore() {
  /** @type {Map<string, string>} */
  const entries = new Map();
  return storedTokens({
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => void entries.set(key, value),
  });
}

/**
 * Tokens that stay, in one entry of a storage. It is read anew every time, because another page of the same
 * device may have written it. An entry that cannot be parsed counts as empty, since a lost token costs one
 * connect with the shared secret and a gateway issues a new one.
 *
 * @param {TextStorage} storage
 * @param {string} key
 * @returns {TokenStore}
 */
export function storedTokens(storage = globalThis.localStorage, key = "openclaw.device.auth") {
  /** @param {string} deviceId */
  const read = (deviceId) => {
    const entry = parse(storage.getItem(key));
    const ours = entry.version === ENTRY_VERSION && entry.deviceId === deviceId;
    return ours ? parsed(entry.tokens) : {};
  };
  /** @param {string} deviceId @param {Record<string, any>} tokens */
  const write = (deviceId, tokens) => {
    storage.setItem(key, JSON.stringify({ version: ENTRY_VERSION, deviceId, tokens }));
  };
  return {
    get: (deviceId, role) => {
      const token = read(deviceId)[role]?.token;
      return typeof token === "string" && token !== "" ? token : undefined;
    },
    put: (deviceId, role, token, scopes) => {
      const tokens = read(deviceId);
      const sorted = [...new Set(scopes)].sort();
      // Members that a newer client may have added are kept.
      tokens[role] = { ...parsed(tokens[role]), token, role, scopes: sorted, updatedAtMs: Date.now() };
      write(deviceId, tokens);
    },
    forget: (deviceId, role, token) => {
      const tokens = read(deviceId);
      if (tokens[role]?.token !== token) return;
      delete tokens[role];
      write(deviceId, tokens);
    },
  };
}

/** @param {string | null} text @returns {Record<string, any>} */
function parse(text) {
  try {
    return parsed(JSON.parse(text ?? "{}"));
  } catch {
    return {};
  }
}

/** @param {unknown} value @returns {Record<string, any>} an object; an empty one for anything else. */
function parsed(value) {
  const object = typeof value === "object" && value !== null && !Array.isArray(value);
  return object ? /** @type {Record<string, any>} */ (value) : {};
}
