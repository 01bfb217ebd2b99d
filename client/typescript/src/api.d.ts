/**
 * Shapes that users of the client give and get. Types only; `index.d.ts` exports them.
 */

import type { EventName, Events } from "./events.js";
import type { HandshakeMethod, MethodName, Methods } from "./methods.js";
import type { Role, Scope } from "./protocol.js";
import type { ConnectClient, ErrorShape, HelloOk, Json, StateVersion } from "./types.js";

/** Whom to connect to, as whom, and how patiently. */
export interface ClientOptions {
  /** The gateway: `ws://127.0.0.1:18789`, or `wss:` where TLS is on. */
  url: string;
  /** The program that connects, as the gateway and other clients will see it. */
  client: ConnectClient;
  /** The gateway's shared token, if known. Secret. */
  token?: string;
  /** The gateway's shared password, if known. Secret. */
  password?: string;
  /** What the connection is for. `operator` when absent. */
  role?: Role;
  /** What is asked for; the gateway's default for the role when absent or empty. */
  scopes?: readonly Scope[];
  /** Node: capabilities. */
  caps?: readonly string[];
  /** Node: commands that it carries out. */
  commands?: readonly string[];
  /** Node: permissions that its user has given it. */
  permissions?: Readonly<Record<string, boolean>>;
  /** Node: where its commands are looked for. */
  pathEnv?: string;
  /** Language of the user. */
  locale?: string;
  /** Free text. */
  userAgent?: string;
  /** This device. Without one the gateway admits only who knows its shared secret. */
  identity?: DeviceIdentity;
  /** Where device tokens are kept; used together with `identity` only. */
  tokenStore?: TokenStore;
  /**
   * What to do when an established connection is lost. `never`: the client is closed then.
   * `unless-refused`, the default: try again for ever, but give up when the gateway refuses for good, as it
   * does when a token is wrong or the device is not paired any more. `always`: try again whatever the
   * gateway says; it may be paired again.
   */
  reconnect?: "never" | "unless-refused" | "always";
  /** Delays between attempts to reconnect. */
  backoff?: Partial<Backoff>;
  /** Time in ms for everything up to hello-ok. 10 000 when absent, as the original command line. */
  connectTimeoutMs?: number;
  /** Time in ms for one call. 60 000 when absent: longer than `agent.wait` waits by itself. */
  callTimeoutMs?: number;
  /**
   * Time in ms for the second answer of a staged call. When absent, the longest run that is not asked for
   * explicitly, and a minute for what surrounds it.
   */
  finalTimeoutMs?: number;
  /** Told what goes wrong beside the caller's way: a listener that throws, a store that fails. */
  warn?: (message: string, error: unknown) => void;
  /** What the client takes from its surroundings. For tests, and for a Node without `WebSocket`. */
  environment?: Partial<Environment>;
}

/** Delays that double from the first to the longest and are shortened at random. */
export interface Backoff {
  /** Delay in ms before the first attempt. 1 000 when absent. */
  firstMs: number;
  /** No delay is longer, in ms. 30 000 when absent. */
  longestMs: number;
  /** Largest part of a delay that chance may take away, from 0 to 1. 0.5 when absent. */
  jitter: number;
}

/** What the client takes from its surroundings. */
export interface Environment {
  /** Opens connections. */
  WebSocket: new (url: string) => Socket;
  /** Runs a function once, after some ms. */
  setTimeout: (run: () => void, ms: number) => unknown;
  /** Calls that off. */
  clearTimeout: (timer: any) => void;
  /** The wall clock in ms since the Unix epoch, for signatures. */
  now: () => number;
  /** A number from 0 up to, but not including, 1. */
  random: () => number;
}

/** As much of a browser's `WebSocket` as the client uses. */
export interface Socket {
  /** Bytes given to `send` that have not left yet. */
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
}

/** A key that stands for a device, and the id that follows from it (contract 2.4). */
export interface DeviceIdentity {
  /** Lower-case hexadecimal SHA-256 of the public key. */
  readonly deviceId: string;
  /** The raw Ed25519 public key, base64url without padding. */
  readonly publicKey: string;
  /** The signature over the UTF-8 bytes of a text, base64url without padding. */
  sign(text: string): string | Promise<string>;
}

/**
 * Device tokens that gateways have issued. A method that throws is reported to `warn` and otherwise counts
 * as a store that holds nothing: the shared secret still works.
 */
export interface TokenStore {
  /** The token of the device for a role. */
  get(deviceId: string, role: string): Awaitable<string | undefined>;
  /** Stores the token of the device for a role, with the scopes it stands for. */
  put(deviceId: string, role: string, token: string, scopes: readonly string[]): Awaitable<void>;
  /** Forgets the token of the device for a role, if it is this one: a newer one stays. */
  forget(deviceId: string, role: string, token: string): Awaitable<void>;
}

/** A value now or later. */
export type Awaitable<T> = T | Promise<T>;

/** Where texts are kept: `localStorage`, or anything like it. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** A method that can be called after the handshake. */
export type CallName = Exclude<MethodName, HandshakeMethod>;

/** What a call of a method gives. */
export type CallResult<M extends CallName> = Methods[M] extends { result: infer R }
  ? R
  : Methods[M] extends { first: infer F; last: infer L }
    ? Staged<F, L>
    : never;

/** Arguments of a call; params that may be empty may be left out. */
export type CallArguments<M extends CallName> = {} extends Methods[M]["params"]
  ? [params?: Methods[M]["params"], options?: CallOptions]
  : [params: Methods[M]["params"], options?: CallOptions];

/** The two answers of a staged call. */
export interface Staged<First, Last> {
  /** The first answer; absent where a repeated request had ended before, so that the last came at once. */
  first: First | undefined;
  /** The second answer. It may be left alone: nothing is lost but its value. */
  last: Promise<Last>;
}

/** How one call differs from others. */
export interface CallOptions {
  /** Instead of the client's `callTimeoutMs`. */
  timeoutMs?: number;
  /** Instead of the client's `finalTimeoutMs`. */
  finalTimeoutMs?: number;
  /** Makes the client forget the call. The gateway is not told: it may carry the request out. */
  signal?: AbortSignal;
}

/** An event as it came. */
export interface Received<E extends EventName = EventName> {
  kind: "event";
  /** Name of the event. */
  name: E;
  /** What it tells. */
  payload: Events[E];
  /** Number of the event on this connection; absent on events meant for it alone. */
  seq?: number;
  /** Versions of the gateway's state that the event brings. */
  stateVersion?: StateVersion;
}

/** An event whose name this version does not know. */
export interface ReceivedUnknown {
  kind: "unknown-event";
  /** Name of the event. */
  name: string;
  /** What it tells. */
  payload: Json;
  /** Number of the event on this connection. */
  seq?: number;
  /** Versions of the gateway's state that the event brings. */
  stateVersion?: StateVersion;
}

/** What happens to the connection. */
export type ConnectionNotice =
  /**
   * Events are missing before the next one: whatever they would have told has to be asked for. `expected` is
   * the sequence number that should have come, `received` the one that came.
   */
  | { kind: "gap"; expected: number; received: number }
  /** This consumer was too slow: its oldest notices were dropped before the next one. */
  | { kind: "dropped"; count: number }
  /** The connection is lost. Unless the client was closed, attempts to reconnect begin now. */
  | { kind: "disconnected"; cause: Disconnect }
  /**
   * The connection is back. Nothing is known about events in between: the hello's snapshot is the state to
   * go on from.
   */
  | { kind: "reconnected"; hello: HelloOk }
  /** The gateway refuses to have this client back. It is the last notice. */
  | { kind: "gave-up"; error: import("./index.js").ConnectError };

/** What a client tells without being asked. With names, only the events of these. */
export type Notice<E extends EventName = EventName> =
  | { [N in E]: Received<N> }[E]
  | ReceivedUnknown
  | ConnectionNotice;

/** How an established connection ended. */
export type Disconnect =
  /** The gateway closed it, or the network did (code 1006). */
  | { by: "gateway"; code: number; reason: string }
  /** This client closed it. */
  | { by: "client" }
  /** The gateway's tick did not come for twice the announced interval. */
  | { by: "silence" };

/** Why there is no connection. */
export type ConnectErrorKind =
  /** Nothing answers there, or nothing that speaks WebSocket. */
  | "unreachable"
  /** The gateway did not come to an end with the handshake. */
  | "timeout"
  /** The connection ended in the handshake, without an answer. */
  | "ended"
  /** The gateway speaks other versions of the protocol. */
  | "protocol-mismatch"
  /** Token or password is missing or wrong; the message says which. */
  | "unauthorized"
  /** An operator has to admit this device first. */
  | "pairing-required"
  /** The gateway wants a device identity or its shared secret, and got neither. */
  | "device-identity-required"
  /** Any other refusal. */
  | "refused"
  /** The gateway's hello cannot be read. */
  | "bad-hello"
  /** There is nothing that could be sent, or no way to send it. */
  | "bad-options"
  /** The client was closed, or is connected already. */
  | "misused";

/** What is known beside the message of a ConnectError. */
export interface ConnectErrorFacts {
  /** The gateway's answer. */
  error?: ErrorShape;
  /** `pairing-required`: the request to approve. */
  requestId?: string;
  /** `protocol-mismatch`: the gateway's version. */
  gatewayProtocol?: number;
  /** `ended`: how. */
  disconnect?: Disconnect;
  /** What was thrown. */
  cause?: unknown;
}

/** Why a call did not succeed. */
export type CallErrorKind =
  /** The gateway answered with an error. */
  | "refused"
  /** No answer in time. The request may have been carried out all the same. */
  | "timeout"
  /** The connection ended before the answer came. The request may have been carried out. */
  | "disconnected"
  /** There is no connection at the moment. The request has not been sent. */
  | "not-connected"
  /** Too much waits: calls for their answers, or bytes for the network. The request has not been sent. */
  | "busy"
  /** The request is larger than the gateway accepts. It has not been sent. */
  | "too-big"
  /** The params are no JSON. The request has not been sent. */
  | "bad-params"
  /** The gateway's answer is neither a result nor an error. */
  | "bad-answer";

/** What is known beside the message of a CallError. */
export interface CallErrorFacts {
  /** `refused`: the gateway's error. */
  error?: ErrorShape;
  /** `refused`: what came beside it; the method's `failure`, where it has one. */
  payload?: Json;
  /** `disconnected`: how. */
  disconnect?: Disconnect;
  /** What was thrown. */
  cause?: unknown;
}
