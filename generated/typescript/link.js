// Copied by `cargo run -p codegen` from client/typescript/src/link.js. Do not edit.

/**
 * One established connection. Made by `client.js` when a hello has come.
 *
 * @import { Disconnect, Environment, Notice, Socket } from "./api.js"
 * @import { HelloOk } from "./types.js"
 * @import { Response } from "./wire.js"
 */

import { EVENTS } from "./events.js";
import { Sequence } from "./notices.js";
import { CLOSES } from "./protocol.js";
import { read } from "./wire.js";

/** How long a close waits for the gateway's own. */
const CLOSE_WAIT_MS = 1_000;

/** What a gateway may announce as its tick interval in ms; anything else is taken for the nearer bound. */
const TICK_BOUNDS_MS = /** @type {const} */ ([1_000, 3_600_000]);

/** Sent when ticks stay away, as by the original client (contract 1.4). */
const TICK_TIMEOUT = /** @type {const} */ ([4000, "tick timeout"]);

/**
 * What a link tells.
 *
 * @typedef {object} Hearer
 * @property {(response: Response) => void} response
 * @property {(notice: Notice) => void} notice
 * @property {(cause: Disconnect) => void} end Once; nothing comes after it.
 */

/** A connection past hello-ok. */
export class Link {
  #socket;
  #environment;
  #hearer;
  #sequence = new Sequence();
  #patienceMs;
  /** @type {unknown} */
  #tickTimer;
  /** @type {unknown} */
  #closeTimer;
  #closing = false;

  /**
   * @param {Socket} socket
   * @param {HelloOk} hello
   * @param {Environment} environment
   * @param {Hearer} hearer
   */
  constructor(socket, hello, environment, hearer) {
    this.#socket = socket;
    this.#environment = environment;
    this.#hearer = hearer;
    this.maxPayload = hello.policy.maxPayload;
    const [least, most] = TICK_BOUNDS_MS;
    // Two intervals, as the original client has it: one tick may be late.
    this.#patienceMs = 2 * Math.min(Math.max(hello.policy.tickIntervalMs, least), most);
    socket.onmessage = ({ data }) => this.#message(data);
    socket.onclose = ({ code, reason }) => {
      this.#end(this.#closing ? { by: "client" } : { by: "gateway", code, reason });
    };
    this.#expectTick();
  }

  /** Bytes that have not left yet. */
  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  /** @param {string} text */
  send(text) {
    this.#socket.send(text);
  }

  /** Closes it, at the latest when the gateway's own close has been waited for long enough. */
  close() {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeTimer = this.#environment.setTimeout(() => this.#end({ by: "client" }), CLOSE_WAIT_MS);
    this.#socket.close(CLOSES.normal.code);
  }

  /** @param {Disconnect} cause */
  #end(cause) {
    this.#environment.clearTimeout(this.#tickTimer);
    this.#environment.clearTimeout(this.#closeTimer);
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#hearer.end(cause);
  }

  #expectTick() {
    this.#environment.clearTimeout(this.#tickTimer);
    this.#tickTimer = this.#environment.setTimeout(() => {
      this.#socket.close(...TICK_TIMEOUT);
      this.#end({ by: "silence" });
    }, this.#patienceMs);
  }

  /** @param {unknown} data */
  #message(data) {
    const frame = read(data);
    if (frame?.type === "res") this.#hearer.response(frame);
    if (frame?.type !== "event") return;
    const { type, name, ...rest } = frame;
    if (name === "tick") this.#expectTick();
    const gap = frame.seq === undefined ? undefined : this.#sequence.gapBefore(frame.seq);
    if (gap) this.#hearer.notice(gap);
    const kind = Object.hasOwn(EVENTS, name) ? "event" : "unknown-event";
    // What an event of a known name carries is the gateway's promise, held by its own tests.
    this.#hearer.notice(/** @type {Notice} */ (/** @type {unknown} */ ({ kind, name, ...rest })));
  }
}
