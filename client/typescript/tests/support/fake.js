// A gateway, a clock and chance of the tests' making. Time moves when a test says so.

import { GatewayClient } from "../../../../generated/typescript/index.js";

/** The wall clock in the tests. */
export const NOW = 1_769_900_000_000;

/** A hello without a device. */
export const HELLO = {
  type: "hello-ok",
  protocol: 3,
  server: { version: "0.1.0", connId: "c-1" },
  features: { methods: [], events: [] },
  snapshot: { presence: [], health: {}, stateVersion: { presence: 1, health: 1 }, uptimeMs: 1 },
  policy: { maxPayload: 524288, maxBufferedBytes: 1572864, tickIntervalMs: 30000 },
};

/** An identity whose signature is the text that it signs. */
export const IDENTITY = { deviceId: "device-1", publicKey: "key-1", sign: (text) => text };

/** Lets everything run that does not wait for time or for the gateway. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** The world of one test. */
export class World {
  /** Every connection that was opened. */
  sockets = [];
  /** What `warn` was told. */
  warnings = [];
  #time = 0;
  #timers = new Map();
  #lastTimer = 0;

  /** A client in it. */
  client(options = {}) {
    const world = this;
    return new GatewayClient({
      url: "ws://gateway",
      client: { id: "test", version: "1", platform: "test", mode: "test" },
      backoff: { jitter: 0 },
      warn: (message) => this.warnings.push(message),
      ...options,
      environment: {
        WebSocket: class extends FakeSocket {
          constructor(url) {
            super(url);
            world.sockets.push(this);
          }
        },
        setTimeout: (run, ms) => {
          this.#timers.set(++this.#lastTimer, { run, at: this.#time + ms });
          return this.#lastTimer;
        },
        clearTimeout: (timer) => this.#timers.delete(timer),
        now: () => NOW,
        random: () => 0.5,
        ...options.environment,
      },
    });
  }

  /** The newest connection. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** Timers that have not run. */
  get timers() {
    return this.#timers.size;
  }

  /** Lets time pass, timer by timer. */
  async pass(ms) {
    const until = this.#time + ms;
    for (;;) {
      await settle();
      const due = [...this.#timers].filter(([, timer]) => timer.at <= until);
      if (due.length === 0) break;
      const [id, timer] = due.reduce((a, b) => (b[1].at < a[1].at ? b : a));
      this.#timers.delete(id);
      this.#time = timer.at;
      timer.run();
    }
    this.#time = until;
  }

  /** Answers the newest connection's handshake. Gives the params of its connect. */
  async greet(hello = {}) {
    const connect = await this.introduce();
    this.socket.answer("connect", { ...HELLO, ...hello });
    await settle();
    return connect;
  }

  /** Brings the newest connection to its connect request. Gives the params. */
  async introduce(nonce = "nonce-1") {
    await settle();
    this.socket.open();
    this.socket.event("connect.challenge", { nonce, ts: NOW });
    await settle();
    return this.socket.requests("connect").at(-1).params;
  }

  /** A client past its hello. */
  async connected(options = {}, hello = {}) {
    const client = this.client(options);
    const connecting = client.connect();
    await this.greet(hello);
    await connecting;
    return client;
  }
}

/** The gateway's end is the methods without `send` and `close`. */
class FakeSocket {
  bufferedAmount = 0;
  sent = [];
  closed = undefined;
  ended = false;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;

  constructor(url) {
    this.url = url;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.closed = [code, reason];
  }

  open() {
    this.onopen?.({});
  }

  receive(frame) {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  event(event, payload, more = {}) {
    this.receive({ type: "event", event, payload, ...more });
  }

  answer(id, payload) {
    this.receive({ type: "res", id, ok: true, payload });
  }

  refuse(id, error, payload) {
    this.receive({ type: "res", id, ok: false, error, payload });
  }

  /** The gateway closes, or answers the client's close. */
  end(code = 1006, reason = "") {
    this.ended = true;
    this.onclose?.({ code, reason });
  }

  requests(method) {
    return this.sent.filter((frame) => frame.method === method);
  }
}

/** What a promise rejects with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
