// Copied by `cargo run -p codegen` from client/typescript/src/base64.js. Do not edit.

/** Bytes as base64url without padding, as the wire has them. Used by `identity.js`. */

/** @param {ArrayBuffer} bytes */
export function toBase64Url(bytes) {
  const binary = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * @param {string} text
 * @throws {Error} when it is none.
 */
export function fromBase64Url(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
