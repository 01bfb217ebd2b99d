// Copied by `cargo run -p codegen` from client/typescript/src/client.js. Do not edit.

/**
 * The client: a connection that is kept, and the calls and notices on it. The public face is `index.d.ts`.
 *
 * @import { CallOptions, ClientOptions, ConnectionNotice, Disconnect } from "./api.js"
 * @import { EventName } from "./events.js"
 * @import { HelloOk } from "./types.js"
 */

import { delay } from "./backoff.js";
import { Calls } from "./calls.js";
import { ConnectError } from "./errors.js";
import { establish } from "./handshake.js";
import { Link } from "./link.js";
import { Notices } from "./notices.js";
import { settings } from "./settings.js";

/** A connection to a gateway that comes back when it is lost. */
export class GatewayClient {
  #settings;
  #calls;
  #notices;
  /** @type {"idle" | "connecting" | "kept" | "ended"} */
  #state = "idle";
  /** @type {Link | undefined} */
  #link;
  /** @type {HelloOk | undefined} */
  #hello;
  /** Gives up what waits for a connection. */
  #stop = new AbortController();
  /** Called when the client has ended. */
  #onEnd = () => {};
  #ended = new Promise((/** @type {(value: void) => void} */ resolve) => (this.#onEnd = resolve));

  /** @param {ClientOptions} options */
  constructor(options) {
    this.#settings = settings(options);
    this.#calls = new Calls(this.#settings.environment);
    this.#notices = new Notices(this.#settings.warn);
  }

  get hello() {
    return this.#hello;
  }

  get connected() {
    return this.#link !== undefined;
  }

  /** @returns {Promise<HelloOk>} */
  async connect() {
    if (this.#state !== "idle") {
      const message = this.#state === "ended" ? "this client was closed" : "this client is connected already";
      throw new ConnectError("misused", message);
    }
    this.#state = "connecting";
    try {
      return await this.#establish(() => (this.#state = "kept"));
    } catch (error) {
      if (this.#state === "connecting") this.#state = "idle";
      throw error;
    }
  }

  /**
   * @param {string} method
   * @param {[params?: any, options?: CallOptions]} rest
   * @returns {Promise<any>}
   */
  call(method, ...[params = {}, options = {}]) {
    return this.#calls.start(this.#link, method, params, {
      timeoutMs: options.timeoutMs ?? this.#settings.callTimeoutMs,
      finalTimeoutMs: options.finalTimeoutMs ?? this.#settings.finalTimeoutMs,
      ...(options.signal && { signal: options.signal }),
    });
  }

  /**
   * @param {EventName} name
   * @param {(payload: any, event: any) => void} listener
   */
  on(name, listener) {
    return this.#notices.listen((notice) => {
      if (notice.kind === "event" && notice.name === name) listener(notice.payload, notice);
    });
  }

  /** @param {(notice: ConnectionNotice) => void} listener */
  onConnection(listener) {
    return this.#notices.listen((notice) => {
      if (notice.kind !== "event" && notice.kind !== "unknown-event") listener(notice);
    });
  }

  /** @param {(event: import("./api.js").ReceivedUnknown) => void} listener */
  onUnknown(listener) {
    return this.#notices.listen((notice) => {
      if (notice.kind === "unknown-event") listener(notice);
    });
  }

  /**
   * @param {EventName[]} names
   * @returns {AsyncIterableIterator<any>}
   */
  notices(...names) {
    return this.#notices.feed(names);
  }

  async close() {
    const link = this.#link;
    this.#stop.abort(new ConnectError("misused", "this client was closed"));
    if (link) link.close();
    else this.#finish();
    await this.#ended;
  }

  /**
   * Connects once and serves the connection from its hello on.
   *
   * @param {(hello: HelloOk) => void} attached Runs when calls can be made, before the next message.
   */
  #establish(attached) {
    return establish(this.#settings, this.#stop.signal, (socket, hello) => {
      this.#hello = hello;
      this.#link = new Link(socket, hello, this.#settings.environment, {
        response: (response) => this.#calls.settle(response),
        notice: (notice) => this.#notices.emit(notice),
        end: (cause) => this.#lost(cause),
      });
      attached(hello);
    });
  }

  /** @param {Disconnect} cause */
  #lost(cause) {
    this.#link = undefined;
    this.#calls.fail(cause);
    this.#notices.emit({ kind: "disconnected", cause });
    if (this.#stop.signal.aborted || this.#settings.reconnect === "never") this.#finish();
    else void this.#comeBack();
  }

  /** Tries until there is a connection, or until there will be none. */
  async #comeBack() {
    const { backoff, environment, reconnect } = this.#settings;
    for (let attempt = 0; ; attempt += 1) {
      await this.#sleep(delay(backoff, attempt, environment.random));
      try {
        await this.#establish((hello) => this.#notices.emit({ kind: "reconnected", hello }));
        return;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (error instanceof ConnectError && error.isFinal && reconnect !== "always") {
          this.#notices.emit({ kind: "gave-up", error });
          this.#finish();
          return;
        }
      }
    }
  }

  /** @param {number} ms Cut short when the client is closed. */
  #sleep(ms) {
    const { setTimeout, clearTimeout } = this.#settings.environment;
    const { signal } = this.#stop;
    return new Promise((/** @type {(value: void) => void} */ resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener("abort", wake);
    });
  }

  #finish() {
    this.#state = "ended";
    this.#notices.end();
    this.#onEnd();
  }
}
