/**
 * A device's key: where it is kept, its id, and what it signs at connect (contract 2.4 and 2.5). Used by
 * `handshake.js` and by programs.
 *
 * @import { DeviceIdentity, TextStorage } from "./api.js"
 */

import { fromBase64Url, toBase64Url } from "./base64.js";

const ALGORITHM = "Ed25519";

/** The one version of the entry there is. */
const ENTRY_VERSION = 1;

/** Whether this browser or Node can sign for a device. Browsers can in a secure context only. */
export async function canSign() {
  try {
    await createIdentity();
    return true;
  } catch {
    return false;
  }
}

/**
 * A new key that cannot be read from the identity.
 *
 * @returns {Promise<DeviceIdentity>}
 */
export async function createIdentity() {
  return identity(await generate(false));
}

/**
 * The identity that is kept in a storage, made and stored if there is none.
 *
 * @param {TextStorage} storage
 * @param {string} key
 * @returns {Promise<DeviceIdentity>}
 */
export async function storedIdentity(storage = globalThis.localStorage, key = "openclaw.device.identity") {
  const text = storage.getItem(key);
  if (text !== null) {
    return parse(text).catch((cause) => {
      const message = `the device identity ${key} is damaged; restore it, or remove it to become a new device`;
      throw new Error(message, { cause });
    });
  }
  const pair = await generate(true);
  const made = await identity(pair);
  const privateKey = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  const entry = {
    version: ENTRY_VERSION,
    deviceId: made.deviceId,
    publicKey: made.publicKey,
    privateKey: toBase64Url(privateKey),
    createdAtMs: Date.now(),
  };
  storage.setItem(key, JSON.stringify(entry));
  return made;
}

/**
 * What a device signs at connect.
 *
 * @typedef {object} SignedFields
 * @property {string} deviceId
 * @property {string} clientId `client.id` as sent.
 * @property {string} clientMode `client.mode` as sent.
 * @property {string} role Effective role: `operator` when none is sent.
 * @property {readonly string[]} scopes Scopes exactly as sent, none when none are sent.
 * @property {number} signedAt Milliseconds since the epoch, equal to `device.signedAt`.
 * @property {string} token `auth.token` as sent, or empty. Passwords are not signed.
 * @property {string} [nonce] The challenge's nonce. With one the second version is made, else the first.
 */

/**
 * The text that is signed: fields joined by `|` (contract 2.5).
 *
 * @param {SignedFields} fields
 */
export function signedText({ deviceId, clientId, clientMode, role, scopes, signedAt, token, nonce }) {
  const version = nonce === undefined ? "v1" : "v2";
  const fields = [version, deviceId, clientId, clientMode, role, scopes.join(","), signedAt, token];
  if (nonce !== undefined) fields.push(nonce);
  return fields.join("|");
}

/** @param {boolean} extractable */
async function generate(extractable) {
  const pair = await crypto.subtle.generateKey(ALGORITHM, extractable, ["sign", "verify"]);
  return /** @type {CryptoKeyPair} */ (pair);
}

/**
 * @param {CryptoKeyPair} pair
 * @returns {Promise<DeviceIdentity>}
 */
async function identity({ publicKey, privateKey }) {
  const raw = await crypto.subtle.exportKey("raw", publicKey);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  return {
    deviceId: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    publicKey: toBase64Url(raw),
    sign: async (text) => {
      const bytes = new TextEncoder().encode(text);
      return toBase64Url(await crypto.subtle.sign(ALGORITHM, privateKey, bytes));
    },
  };
}

/**
 * Reads an entry and makes sure that its keys belong together. A wrong `deviceId` is harmless: the id
 * follows from the key.
 *
 * @param {string} text
 */
async function parse(text) {
  const entry = JSON.parse(text);
  if (entry?.version !== ENTRY_VERSION) throw new Error(`version ${entry?.version} is not known`);
  const { subtle } = crypto;
  const publicKey = await subtle.importKey("raw", fromBase64Url(entry.publicKey), ALGORITHM, true, ["verify"]);
  const secret = fromBase64Url(entry.privateKey);
  const privateKey = await subtle.importKey("pkcs8", secret, ALGORITHM, false, ["sign"]);
  const probe = new Uint8Array(1);
  const signature = await subtle.sign(ALGORITHM, privateKey, probe);
  if (!(await subtle.verify(ALGORITHM, publicKey, signature, probe))) {
    throw new Error("publicKey does not belong to privateKey");
  }
  return identity({ publicKey, privateKey });
}
