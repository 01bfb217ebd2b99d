/**
 * What a client tells without being asked, and to whom. Used by `client.js` and `link.js`.
 *
 * @import { ConnectionNotice, Notice } from "./api.js"
 */

/**
 * Notices that wait for a slow consumer before the oldest are dropped: some minutes of a busy gateway, or a
 * burst of chat deltas of all its sessions.
 */
export const EVENT_BUFFER = 1024;

/** The consumers of one client. */
export class Notices {
  /** @type {Set<(notice: Notice) => void>} */
  #listeners = new Set();
  /** @type {Set<Feed>} */
  #feeds = new Set();
  #ended = false;
  #warn;

  /** @param {(message: string, error: unknown) => void} warn */
  constructor(warn) {
    this.#warn = warn;
  }

  /**
   * Tells all consumers. A listener that throws does not keep the others from hearing.
   *
   * @param {Notice} notice
   */
  emit(notice) {
    for (const listener of [...this.#listeners]) {
      try {
        listener(notice);
      } catch (error) {
        this.#warn("a listener of the gateway client has thrown", error);
      }
    }
    for (const feed of this.#feeds) feed.push(notice);
  }

  /**
   * @param {(notice: Notice) => void} listener
   * @returns {() => void} ends it.
   */
  listen(listener) {
    // Of its own, so that a listener that is given twice is called twice and ended one by one.
    const own = (/** @type {Notice} */ notice) => listener(notice);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** @param {readonly string[]} names Events that are wanted, all when empty. */
  feed(names) {
    const feed = new Feed(names, () => void this.#feeds.delete(feed));
    if (this.#ended) feed.end();
    else this.#feeds.add(feed);
    return feed;
  }

  /** No notice will come any more. */
  end() {
    this.#ended = true;
    this.#listeners.clear();
    for (const feed of [...this.#feeds]) feed.end();
  }
}

/**
 * One consumer that asks for the next notice when it is ready for it.
 *
 * @implements {AsyncIterableIterator<Notice>}
 */
class Feed {
  /** @type {Notice[]} */
  #waiting = [];
  #dropped = 0;
  /** @type {((result: IteratorResult<Notice, undefined>) => void)[]} */
  #asked = [];
  #ended = false;
  #names;
  #onEnd;

  /**
   * @param {readonly string[]} names
   * @param {() => void} onEnd
   */
  constructor(names, onEnd) {
    this.#names = new Set(names);
    this.#onEnd = onEnd;
  }

  /** @param {Notice} notice */
  push(notice) {
    const named = notice.kind === "event" || notice.kind === "unknown-event";
    if (named && this.#names.size > 0 && !this.#names.has(notice.name)) return;
    const asked = this.#asked.shift();
    if (asked) {
      asked({ done: false, value: notice });
      return;
    }
    this.#waiting.push(notice);
    if (this.#waiting.length > EVENT_BUFFER) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
  }

  end() {
    this.#ended = true;
    for (const asked of this.#asked.splice(0)) asked({ done: true, value: undefined });
    this.#onEnd();
  }

  /** @returns {Promise<IteratorResult<Notice, undefined>>} */
  async next() {
    if (this.#dropped > 0) {
      const count = this.#dropped;
      this.#dropped = 0;
      return { done: false, value: { kind: "dropped", count } };
    }
    const value = this.#waiting.shift();
    if (value) return { done: false, value };
    if (this.#ended) return { done: true, value: undefined };
    return new Promise((resolve) => this.#asked.push(resolve));
  }

  /** @returns {Promise<IteratorResult<Notice, undefined>>} */
  async return() {
    this.#waiting = [];
    this.#dropped = 0;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** Finds holes in the sequence numbers of one connection. */
export class Sequence {
  /** @type {number | undefined} */
  #last;

  /**
   * Takes note of a number. Gives the notice of a gap if numbers were left out. The first may be any, and
   * numbers that go back count as a new start (contract 12).
   *
   * @param {number} seq
   * @returns {ConnectionNotice | undefined}
   */
  gapBefore(seq) {
    const expected = this.#last === undefined ? seq : this.#last + 1;
    this.#last = seq;
    return seq > expected ? { kind: "gap", expected, received: seq } : undefined;
  }
}
