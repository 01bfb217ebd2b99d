/** The client and the protocol's constants. Declared in `index.d.ts`. */

export { GatewayClient } from "./client.js";
export { MAX_BUFFERED, MAX_PENDING } from "./calls.js";
export { CallError, ConnectError } from "./errors.js";
export { canSign, createIdentity, storedIdentity } from "./identity.js";
export { EVENT_BUFFER } from "./notices.js";
export { memoryTokenStore, storedTokens } from "./token-store.js";
export * from "./events.js";
export * from "./methods.js";
export * from "./protocol.js";
