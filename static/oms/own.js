// The account's open orders and fills: read over REST, kept up by the executions channel.

import { toUnits } from "./decimals.js";
import { request } from "./rest.js";

// As many as one page of REST has.
const ORDERS_READ = 500;
const FILLS_READ = 50;
export const FILLS_KEPT = 100;
// Ended orders that a slow answer must not bring back are remembered until there are this many.
const ENDED_KEPT = 2_000;
// At most one reading in this time, however many orders move.
const READ_EVERY_MS = 800;
const OPEN = new Set(["new", "partially_filled", "untriggered"]);

/** Events: "change"; "fill" (detail: the event). */
export class Own extends EventTarget {
  #ended = new Map();
  #fillIds = new Set();
  #reading = false;
  #again = false;
  #readAt = -Infinity;

  constructor(rules) {
    super();
    this.rules = rules;
    this.orders = new Map();
    this.fills = [];
    this.more = false;
  }

  /** Open quantity in units by side of the ladder ("bids", "asks") and price, for the marks in the ladder: of what is in the book, not of what waits. */
  byPrice() {
    const found = { bids: new Map(), asks: new Map() };
    for (const order of this.orders.values()) {
      if (!order.price || order.status === "untriggered") continue;
      const side = found[order.side === "buy" ? "bids" : "asks"];
      const units = toUnits(order.remaining_quantity, this.rules.quantityDecimals);
      side.set(order.price, (side.get(order.price) ?? 0n) + units);
    }
    return found;
  }

  /** Take an order as REST answers it. What is older than what we know is ignored. */
  take(order) {
    if (order.symbol !== this.rules.symbol) return;
    const known = this.orders.get(order.id)?.sequence ?? this.#ended.get(order.id) ?? -1;
    if (order.sequence < known) return;
    for (const leg of order.legs ?? []) this.take(leg);
    if (OPEN.has(order.status)) this.#ended.has(order.id) || this.orders.set(order.id, order);
    else this.#end(order.id, order.sequence);
    this.#changed();
  }

  /** Take an event of the executions channel. */
  apply(event) {
    if (event.symbol !== this.rules.symbol || !event.order_id) return;
    if (event.liquidity) this.#addFills([event], true);
    const known = this.orders.get(event.order_id);
    if (event.status && !OPEN.has(event.status)) {
      this.#end(event.order_id, event.sequence);
    } else if (known && (event.liquidity || event.event === "replenished")) {
      if (event.sequence > known.sequence) Object.assign(known, progress(event));
    } else if (!known || event.sequence > known.sequence) {
      // Accepted, amended, triggered, released: an event does not hold the whole order.
      this.readSoon();
    }
    this.#changed();
  }

  /** The last price has moved: the stop prices of trailing stops move with it, without events of their own. */
  priceMoved() {
    const waits = ({ type, status }) => type === "trailing_stop" && status === "untriggered";
    if ([...this.orders.values()].some(waits)) this.readSoon();
  }

  /** Read again over REST, now or as soon as the last reading is long enough ago. */
  async readSoon() {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    await new Promise((resolve) => setTimeout(resolve, Math.max(60, this.#readAt + READ_EVERY_MS - performance.now())));
    this.#again = false;
    try {
      await this.#read();
    } catch (error) {
      this.dispatchEvent(new CustomEvent("unread", { detail: error }));
      this.#again = error.retryable;
    }
    this.#readAt = performance.now();
    this.#reading = false;
    if (this.#again) this.readSoon();
  }

  async #read() {
    const symbol = encodeURIComponent(this.rules.symbol);
    // An order that is placed while we read may be missing from the answer: only what was known before can have ended.
    const before = new Map(Array.from(this.orders, ([id, order]) => [id, order.sequence]));
    const [orders, fills] = await Promise.all([
      request("GET", `orders?symbol=${symbol}&status=open&limit=${ORDERS_READ}`),
      request("GET", `fills?symbol=${symbol}&limit=${FILLS_READ}`),
    ]);
    this.more = orders.body.next !== null;
    const there = new Set(orders.body.results.map((order) => order.id));
    for (const [id, sequence] of before) {
      if (!there.has(id) && !this.more && this.orders.get(id)?.sequence === sequence) this.orders.delete(id);
    }
    for (const order of orders.body.results) this.take(order);
    this.#addFills(fills.body.results, false);
    this.#changed();
  }

  #end(id, sequence) {
    this.orders.delete(id);
    this.#ended.set(id, sequence);
    if (this.#ended.size > ENDED_KEPT) this.#ended.delete(this.#ended.keys().next().value);
  }

  #addFills(fills, tell) {
    for (const fill of fills) {
      const id = `${fill.shard}-${fill.sequence}`;
      if (this.#fillIds.has(id)) continue;
      this.#fillIds.add(id);
      this.fills.push(fill);
      if (tell) this.dispatchEvent(new CustomEvent("fill", { detail: fill }));
    }
    this.fills.sort((one, other) => other.shard - one.shard || other.sequence - one.sequence);
    for (const dropped of this.fills.splice(FILLS_KEPT)) this.#fillIds.delete(`${dropped.shard}-${dropped.sequence}`);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function progress({ sequence, status, filled_quantity, remaining_quantity }) {
  return { sequence, status, filled_quantity, remaining_quantity };
}
