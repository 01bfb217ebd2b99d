// Copied by `cargo run -p codegen` from client/typescript/src/errors.js. Do not edit.

/**
 * What can go wrong, in words for the person at the client. Thrown by `client.js` and what it stands on.
 *
 * @import { CallErrorFacts, CallErrorKind, ConnectErrorFacts, ConnectErrorKind } from "./api.js"
 * @import { ErrorShape } from "./types.js"
 */

import { ERROR_CODES, ERRORS, VERSION } from "./protocol.js";

/** There is no connection to the gateway. */
export class ConnectError extends Error {
  /**
   * @param {ConnectErrorKind} kind
   * @param {string} message
   * @param {ConnectErrorFacts} [facts]
   */
  constructor(kind, message, facts = {}) {
    super(message, "cause" in facts ? { cause: facts.cause } : undefined);
    this.name = "ConnectError";
    this.kind = kind;
    this.error = facts.error;
    this.requestId = facts.requestId;
    this.gatewayProtocol = facts.gatewayProtocol;
    this.disconnect = facts.disconnect;
  }

  get isFinal() {
    switch (this.kind) {
      case "unreachable":
      case "timeout":
      case "ended":
      case "bad-hello":
        return false;
      case "refused":
        // A late challenge, a clock that is being set and trouble on the gateway's side are worth another
        // try.
        return !(
          this.error?.message === ERRORS.deviceNonceRequired.text ||
          this.error?.message === ERRORS.deviceSignatureExpired.text ||
          this.error?.code === ERROR_CODES.UNAVAILABLE
        );
      default:
        return true;
    }
  }
}

/** A call did not succeed. */
export class CallError extends Error {
  /**
   * @param {CallErrorKind} kind
   * @param {string} method
   * @param {string} message
   * @param {CallErrorFacts} [facts]
   */
  constructor(kind, method, message, facts = {}) {
    super(message, "cause" in facts ? { cause: facts.cause } : undefined);
    this.name = "CallError";
    this.kind = kind;
    this.method = method;
    this.error = facts.error;
    this.payload = facts.payload;
    this.disconnect = facts.disconnect;
  }

  get outcomeUnknown() {
    return this.kind === "timeout" || this.kind === "disconnected";
  }
}

/** Every refusal of a secret begins with this word, whatever the reason (contract 2.8). */
const UNAUTHORIZED = ERRORS.tokenMismatch.text.split(":", 1)[0];

/**
 * Sorts the gateway's answer to a connect by what its user can do about it. Errors are known by their
 * texts, since there are but five codes (contract 2.8).
 *
 * @param {ErrorShape} error
 */
export function refusal(error) {
  const { message } = error;
  const details = /** @type {Record<string, unknown>} */ (Object(error.details));
  if (message === ERRORS.pairingRequired.text) {
    const { requestId } = details;
    const known = typeof requestId === "string";
    return new ConnectError(
      "pairing-required",
      `this device waits for approval${known ? ` (request ${requestId})` : ""}: ` +
        "approve it from a client that is paired, then connect again",
      { error, ...(known && { requestId }) },
    );
  }
  if (message === ERRORS.deviceIdentityRequired.text) {
    return new ConnectError(
      "device-identity-required",
      "the gateway wants to know this device: connect with a device identity, or pass the gateway's token",
      { error },
    );
  }
  if (message === ERRORS.protocolMismatch.text) {
    const { expectedProtocol } = details;
    const known = typeof expectedProtocol === "number";
    return new ConnectError(
      "protocol-mismatch",
      `the gateway speaks protocol ${known ? expectedProtocol : "another version"}, ` +
        `this client speaks ${VERSION}: update the older of the two`,
      { error, ...(known && { gatewayProtocol: expectedProtocol }) },
    );
  }
  if (message === UNAUTHORIZED || message.startsWith(`${UNAUTHORIZED}:`)) {
    return new ConnectError("unauthorized", message, { error });
  }
  return new ConnectError("refused", `the gateway refused the connection: ${message}`, { error });
}

/**
 * An ending in words.
 *
 * @param {import("./api.js").Disconnect} disconnect
 */
export function words(disconnect) {
  switch (disconnect.by) {
    case "client":
      return "closed by this client";
    case "silence":
      return "the gateway has gone silent";
    case "gateway": {
      const { code, reason } = disconnect;
      return `closed by the gateway (${code}${reason && ": "}${reason})`;
    }
  }
}
