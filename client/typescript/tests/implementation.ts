// What index.d.ts declares is what the modules give. Each line fails to compile where that is not so.

import type * as Declared from "../src/index.js";
import { MAX_BUFFERED, MAX_PENDING } from "../src/calls.js";
import { GatewayClient } from "../src/client.js";
import { CallError, ConnectError } from "../src/errors.js";
import { canSign, createIdentity, storedIdentity } from "../src/identity.js";
import { EVENT_BUFFER } from "../src/notices.js";
import { memoryTokenStore, storedTokens } from "../src/token-store.js";

type HandWritten = Omit<typeof Declared, keyof typeof import("../../../generated/typescript/protocol.js") | "METHODS" | "EVENTS">;

export const implementation: HandWritten = {
  CallError,
  ConnectError,
  EVENT_BUFFER,
  GatewayClient,
  MAX_BUFFERED,
  MAX_PENDING,
  canSign,
  createIdentity,
  memoryTokenStore,
  storedIdentity,
  storedTokens,
};
