// A client's copy of one book, kept by the rules of the feed:
// take the snapshot; apply an update whose `previous` is our sequence; on anything else ask for a new snapshot.
// A lower epoch is ignored, a higher one arrives only as a snapshot. After each change the checksum must agree.

import { crc32 } from "./crc32.js";
import { compare, isZero } from "./decimals.js";

// Levels of each side that enter the checksum.
const CHECKSUM_LEVELS = 10;

export const APPLIED = "applied";
export const IGNORED = "ignored";
export const BROKEN = "broken";

export class Book {
  /** `depth` is what was subscribed to: levels beyond it are dropped, because the server does not tell of them. */
  constructor(depth) {
    this.depth = depth;
    this.epoch = -1;
    this.clear();
  }

  /** Forget the levels, keep the epoch: the next snapshot begins anew. */
  clear() {
    this.sequence = null;
    this.bids = [];
    this.asks = [];
  }

  get ready() {
    return this.sequence !== null;
  }

  /** Take one message of the book channel. BROKEN means: subscribe again. */
  apply(message) {
    if (message.epoch < this.epoch) return IGNORED;
    if (message.type === "snapshot") {
      this.bids = message.bids.slice(0, this.depth);
      this.asks = message.asks.slice(0, this.depth);
    } else {
      if (!this.ready) return IGNORED;
      if (message.epoch === this.epoch && message.sequence <= this.sequence) return IGNORED;
      if (message.epoch !== this.epoch || message.previous !== this.sequence) return this.#broken();
      for (const level of message.bids) setLevel(this.bids, level, -1);
      for (const level of message.asks) setLevel(this.asks, level, 1);
      // Only after all changes: one of them may make room for a level that another pushed beyond the depth.
      this.bids.length = Math.min(this.bids.length, this.depth);
      this.asks.length = Math.min(this.asks.length, this.depth);
    }
    this.epoch = message.epoch;
    this.sequence = message.sequence;
    return this.checksum() === message.checksum ? APPLIED : this.#broken();
  }

  checksum() {
    const levels = [...this.asks.slice(0, CHECKSUM_LEVELS), ...this.bids.slice(0, CHECKSUM_LEVELS)];
    return crc32(levels.map(([price, quantity]) => digits(price) + digits(quantity)).join(""));
  }

  #broken() {
    this.clear();
    return BROKEN;
  }
}

function digits(text) {
  return text.replace(".", "").replace(/^0+/, "");
}

/** Put a level [price, quantity, orders] into a side sorted best first; `direction` is 1 for asks, -1 for bids. */
function setLevel(side, level, direction) {
  let index = 0;
  while (index < side.length && compare(side[index][0], level[0]) * direction < 0) index += 1;
  const found = index < side.length && side[index][0] === level[0];
  if (isZero(level[1])) {
    if (found) side.splice(index, 1);
    return;
  }
  side.splice(index, found ? 1 : 0, level);
}
