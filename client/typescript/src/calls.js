/**
 * The calls that wait for their answers. Used by `client.js`.
 *
 * @import { Disconnect, Environment, Staged } from "./api.js"
 * @import { Json } from "./types.js"
 * @import { Response } from "./wire.js"
 */

import { CallError, words } from "./errors.js";
import { METHODS } from "./methods.js";
import { request } from "./wire.js";

/**
 * Most calls that may wait for answers at a time, second answers included. Far above what one program has
 * in flight; a program over it has lost count.
 */
export const MAX_PENDING = 1024;

/**
 * Bytes that may wait for the network before calls are refused: eight of the largest requests. A gateway
 * that does not read cannot make the client grow.
 */
export const MAX_BUFFERED = 4 * 1024 * 1024;

/**
 * Where requests go.
 *
 * @typedef {object} Outlet
 * @property {number} maxPayload Largest request in bytes.
 * @property {number} bufferedAmount Bytes that have not left yet.
 * @property {(text: string) => void} send
 */

/**
 * How long a call waits for each of its answers, and what calls it off.
 *
 * @typedef {object} Patience
 * @property {number} timeoutMs
 * @property {number} finalTimeoutMs
 * @property {AbortSignal} [signal]
 */

/**
 * A call that waits. Both end it, but for a `take` of a first answer.
 *
 * @typedef {object} Waiting
 * @property {(response: Response) => void} take
 * @property {(error: unknown) => void} fail
 */

/**
 * Who hears of the next answer.
 *
 * @typedef {object} Stage
 * @property {(value: any) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {readonly [member: string, value: string]} [first] How a first answer is known, while one is
 * awaited.
 */

/** All calls of one client. */
export class Calls {
  /** @type {Map<string, { method: string, call: Waiting }>} */
  #waiting = new Map();
  #lastId = 0;
  #environment;
  #encoder = new TextEncoder();

  /** @param {Environment} environment */
  constructor(environment) {
    this.#environment = environment;
  }

  /**
   * Sends a request and waits for its answers.
   *
   * @param {Outlet | undefined} outlet
   * @param {string} method
   * @param {unknown} params
   * @param {Patience} options
   * @returns {Promise<Json | Staged<Json, Json>>}
   */
  start(outlet, method, params, options) {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted();
      if (!outlet) throw new CallError("not-connected", method, "not connected to the gateway");
      this.#lastId += 1;
      const id = String(this.#lastId);
      const text = this.#checked(outlet, id, method, params);
      const stage = { resolve, reject, ...first(method) };
      this.#waiting.set(id, { method, call: this.#wait(id, method, options, stage) });
      outlet.send(text);
    });
  }

  /**
   * Hands a response to the call that waits for it; one for nobody is ignored (contract 12).
   *
   * @param {Response} response
   */
  settle(response) {
    this.#waiting.get(response.id)?.call.take(response);
  }

  /**
   * The connection is gone: no call that waits will be answered.
   *
   * @param {Disconnect} disconnect
   */
  fail(disconnect) {
    const message = `the connection ended before the answer: ${words(disconnect)}`;
    for (const { method, call } of [...this.#waiting.values()]) {
      call.fail(new CallError("disconnected", method, message, { disconnect }));
    }
  }

  /**
   * The text of a request that may be sent.
   *
   * @param {Outlet} outlet
   * @param {string} id
   * @param {string} method
   * @param {unknown} params
   */
  #checked(outlet, id, method, params) {
    if (this.#waiting.size >= MAX_PENDING) {
      throw new CallError("busy", method, `${MAX_PENDING} calls wait for their answers already`);
    }
    let text;
    try {
      text = request(id, method, params);
    } catch (cause) {
      throw new CallError("bad-params", method, `${method}: the params cannot be sent: ${cause}`, { cause });
    }
    const size = this.#encoder.encode(text).length;
    if (size > outlet.maxPayload) {
      const message = `the request has ${size} bytes, the gateway accepts ${outlet.maxPayload}`;
      throw new CallError("too-big", method, message);
    }
    if (outlet.bufferedAmount + size > MAX_BUFFERED) {
      const message = `${outlet.bufferedAmount} bytes wait for the network already`;
      throw new CallError("busy", method, message);
    }
    return text;
  }

  /**
   * @param {string} id
   * @param {string} method
   * @param {Patience} patience
   * @param {Stage} stage
   * @returns {Waiting}
   */
  #wait(id, method, { timeoutMs, finalTimeoutMs, signal }, stage) {
    const { setTimeout, clearTimeout } = this.#environment;
    /** @type {unknown} */
    let timer;
    const end = () => {
      this.#waiting.delete(id);
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    };
    const fail = (/** @type {unknown} */ error) => {
      end();
      stage.reject(error);
    };
    const aborted = () => fail(signal?.reason);
    const expectWithin = (/** @type {number} */ ms) => {
      const late = () => fail(new CallError("timeout", method, `${method}: no answer within ${ms / 1000} s`));
      timer = setTimeout(late, ms);
    };
    signal?.addEventListener("abort", aborted);
    expectWithin(timeoutMs);
    return {
      fail,
      take: (response) => {
        if (!response.ok) {
          fail(refused(method, response));
        } else if (stage.first === undefined) {
          end();
          stage.resolve(response.payload);
        } else if (isFirst(stage.first, response.payload)) {
          clearTimeout(timer);
          expectWithin(finalTimeoutMs);
          const { resolve } = stage;
          const last = new Promise((resolve, reject) => (stage = { resolve, reject }));
          // Who leaves it alone does not want to hear that it failed.
          last.catch(() => {});
          resolve({ first: response.payload, last });
        } else {
          end();
          stage.resolve({ first: undefined, last: Promise.resolve(response.payload) });
        }
      },
    };
  }
}

/** @param {string} method */
function first(method) {
  const first = Object.hasOwn(METHODS, method)
    ? METHODS[/** @type {keyof typeof METHODS} */ (method)].first
    : undefined;
  return first && { first };
}

/**
 * @param {readonly [member: string, value: string]} first
 * @param {Json} payload
 */
function isFirst([member, value], payload) {
  return Object(payload)[member] === value;
}

/**
 * @param {string} method
 * @param {Response} response
 */
function refused(method, { error, payload }) {
  return error
    ? new CallError("refused", method, error.message, { error, payload })
    : new CallError("bad-answer", method, `${method}: the answer is neither a result nor an error`);
}
