/**
 * How long to wait before the next attempt to reconnect. Used by `client.js`.
 *
 * @import { Backoff } from "./api.js"
 */

/**
 * From one second to half a minute, as the original client, less up to a half.
 *
 * @type {Backoff}
 */
export const DEFAULT_BACKOFF = { firstMs: 1_000, longestMs: 30_000, jitter: 0.5 };

/**
 * The delay in ms before an attempt, counted from 0 at each loss of the connection. It is shortened at
 * random, so that the clients of a restarted gateway do not come back in one instant.
 *
 * @param {Backoff} backoff
 * @param {number} attempt
 * @param {() => number} random
 */
export function delay(backoff, attempt, random) {
  const full = Math.min(backoff.firstMs * 2 ** attempt, backoff.longestMs);
  const jitter = Math.min(Math.max(backoff.jitter, 0), 1);
  return full * (1 - jitter * random());
}
