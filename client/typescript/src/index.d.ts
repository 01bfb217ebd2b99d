/**
 * Client of the gateway protocol, and the protocol's types and constants.
 */

import type {
  CallArguments,
  CallErrorFacts,
  CallErrorKind,
  CallName,
  CallResult,
  ClientOptions,
  ConnectErrorFacts,
  ConnectErrorKind,
  ConnectionNotice,
  DeviceIdentity,
  Notice,
  Received,
  ReceivedUnknown,
  TextStorage,
  TokenStore,
} from "./api.js";
import type { EventName, Events } from "./events.js";
import type { ErrorShape, HelloOk, Json } from "./types.js";

export type * from "./api.js";
export type * from "./types.js";
export * from "./events.js";
export * from "./methods.js";
export * from "./protocol.js";

/**
 * A connection to a gateway that comes back when it is lost.
 *
 * Calls do not wait for a lost connection: they fail with `not-connected`, and those that were waiting for
 * an answer with `disconnected`.
 */
export declare class GatewayClient {
  constructor(options: ClientOptions);

  /** The hello of the present connection, or of the last one; `undefined` before the first. */
  get hello(): HelloOk | undefined;

  /** Whether calls can be made at this moment. */
  get connected(): boolean;

  /**
   * Connects, which includes the handshake, and keeps the connection from then on as `reconnect` says. A
   * first attempt that fails is not repeated; call it again for another.
   *
   * @throws {ConnectError}
   */
  connect(): Promise<HelloOk>;

  /**
   * Calls a method. A staged one gives its first answer and a promise of the last.
   *
   * @throws {CallError} and what `options.signal` was aborted with.
   */
  call<M extends CallName>(method: M, ...rest: CallArguments<M>): Promise<CallResult<M>>;

  /**
   * Calls the listener with each event of the name, from now on; subscribe before `connect` to miss none.
   * Gives the function that ends it.
   */
  on<E extends EventName>(name: E, listener: (payload: Events[E], event: Received<E>) => void): () => void;

  /** Calls the listener with what happens to the connection. Gives the function that ends it. */
  onConnection(listener: (notice: ConnectionNotice) => void): () => void;

  /** Calls the listener with events that this version does not know. Gives the function that ends it. */
  onUnknown(listener: (event: ReceivedUnknown) => void): () => void;

  /**
   * Everything that happens from now on, until the client is closed: events of these names, of all names
   * when none is given, and what happens to the connection. A consumer that falls behind by EVENT_BUFFER
   * notices loses the oldest and is told.
   */
  notices<E extends EventName = EventName>(...names: E[]): AsyncIterableIterator<Notice<E>>;

  /** Closes the connection and waits until that is done. Calls that wait fail. */
  close(): Promise<void>;
}

/** There is no connection to the gateway. */
export declare class ConnectError extends Error {
  constructor(kind: ConnectErrorKind, message: string, facts?: ConnectErrorFacts);
  readonly kind: ConnectErrorKind;
  readonly error: ErrorShape | undefined;
  readonly requestId: string | undefined;
  readonly gatewayProtocol: number | undefined;
  readonly disconnect: import("./api.js").Disconnect | undefined;
  /** Whether the same attempt can only fail again, until somebody changes something on either side. */
  get isFinal(): boolean;
}

/** A call did not succeed. */
export declare class CallError extends Error {
  constructor(kind: CallErrorKind, method: string, message: string, facts?: CallErrorFacts);
  readonly kind: CallErrorKind;
  /** The method that was called. */
  readonly method: string;
  readonly error: ErrorShape | undefined;
  readonly payload: Json | undefined;
  readonly disconnect: import("./api.js").Disconnect | undefined;
  /** Whether the request may have been carried out, though no answer says so. */
  get outcomeUnknown(): boolean;
}

/** Most calls that may wait for answers at a time, second answers included. */
export declare const MAX_PENDING: number;

/** Bytes that may wait for the network before calls are refused. */
export declare const MAX_BUFFERED: number;

/** Notices that wait for a slow consumer before the oldest are dropped. */
export declare const EVENT_BUFFER: number;

/** Whether this browser or Node can sign for a device. */
export declare function canSign(): Promise<boolean>;

/** A new key that is gone with the page or process: it cannot be read from the identity. */
export declare function createIdentity(): Promise<DeviceIdentity>;

/**
 * The identity that is kept in a storage, made and stored if there is none. Whoever can read the storage
 * can be this device.
 *
 * @param storage `localStorage` when absent.
 * @param key Name of the entry.
 * @throws {Error} when the entry is there but damaged: it may be the only copy of a key that a gateway knows.
 */
export declare function storedIdentity(storage?: TextStorage, key?: string): Promise<DeviceIdentity>;

/** Tokens that are gone with the page or process. */
export declare function memoryTokenStore(): TokenStore;

/**
 * Tokens that stay. The entry belongs to one device: tokens of another are not seen, and are dropped by
 * the next write.
 *
 * @param storage `localStorage` when absent.
 * @param key Name of the entry.
 */
export declare function storedTokens(storage?: TextStorage, key?: string): TokenStore;
