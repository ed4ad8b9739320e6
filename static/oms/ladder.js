// The ladder: the best levels of both sides, asks above bids, bars for what is to be had up to each price.

import { fromUnits, toUnits } from "./decimals.js";
import { byId, element, setData, setText } from "./dom.js";

const LEVELS = 12;
const LEVELS_ON_TALL_SCREENS = 16;
const LEVELS_ON_PHONES = 7;
const MOVED_MS = 700;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const tall = matchMedia("(min-height: 1050px)");
const phone = matchMedia("(max-width: 760px)");

export class Ladder {
  /** `own()` gives a Map of price to our own open quantity in units for each side, `market` knows the phase and the indicative price,
   *  `pick(price)` hears which price was chosen. */
  constructor({ book, rules, market, own, pick }) {
    this.book = book;
    this.rules = rules;
    this.market = market;
    this.own = own;
    this.pick = pick;
    this.sides = { bids: byId("bids"), asks: byId("asks") };
    this.rows = { bids: [], asks: [] };
    this.#build();
    byId("ladder").addEventListener("click", (event) => this.#clicked(event));
    byId("ladder").addEventListener("keydown", (event) => this.#pressed(event));
    for (const media of [tall, phone]) media.addEventListener("change", () => { this.#build(); this.draw(); });
  }

  #build() {
    const count = phone.matches ? LEVELS_ON_PHONES : tall.matches ? LEVELS_ON_TALL_SCREENS : LEVELS;
    for (const side of ["bids", "asks"]) {
      this.rows[side] = Array.from({ length: count }, () => newRow());
      const rows = this.rows[side].map((row) => row.line);
      this.sides[side].replaceChildren(...(side === "asks" ? rows.reverse() : rows));
    }
  }

  /** Show the book as it is; where none is known yet, what was shown stays. */
  draw() {
    const { book } = this;
    if (!book.ready) return;
    const totals = { bids: this.#totals(book.bids), asks: this.#totals(book.asks) };
    const largest = [totals.bids.at(-1) ?? 0n, totals.asks.at(-1) ?? 0n].reduce((one, two) => (one > two ? one : two));
    const own = this.own();
    const crosses = this.#crossing();
    for (const side of ["bids", "asks"]) {
      this.rows[side].forEach((row, index) => {
        const level = book[side][index];
        this.#drawRow(row, level, totals[side][index], largest, own[side]);
        setData(row.line, "crosses", level && crosses(side, level[0]) ? "true" : null);
      });
    }
    this.#keepOneTabStop();
    setText(byId("middle-text"), this.#middle());
  }

  /** Which levels are to trade when a call ends: those the indicative price satisfies, or that reach the other side's best. */
  #crossing() {
    const { bids, asks } = this.book;
    const units = (price) => toUnits(price, this.rules.priceDecimals);
    if (!bids.length || !asks.length || units(bids[0][0]) < units(asks[0][0])) return () => false;
    const at = this.market.indicative && units(this.market.indicative.price);
    const [least, most] = at ? [at, at] : [units(asks[0][0]), units(bids[0][0])];
    return (side, price) => (side === "bids" ? units(price) >= least : units(price) <= most);
  }

  #totals(levels) {
    let total = 0n;
    return levels.slice(0, this.rows.bids.length).map(([, quantity]) => (total += toUnits(quantity, this.rules.quantityDecimals)));
  }

  #drawRow(row, level, total, largest, own) {
    const { quantityDecimals } = this.rules;
    const [price, quantity, orders] = level ?? ["", "", ""];
    const moved = price && row.line.dataset.price === price && row.size.textContent !== quantity;
    setData(row.line, "price", price);
    setText(row.price, price);
    row.price.disabled = !price;
    setText(row.size, quantity);
    setText(row.total, level ? fromUnits(total, quantityDecimals) : "");
    setText(row.count, String(orders));
    const ours = price ? own.get(price) : undefined;
    setData(row.line, "own", ours ? "true" : null);
    setText(row.mine, ours ? fromUnits(ours, quantityDecimals) : "");
    // Only the length of a bar: a part of a thousand is exact enough.
    row.line.style.setProperty("--depth", level && largest ? String(Number((total * 1000n) / largest) / 1000) : "0");
    if (moved && !calm.matches) row.size.animate([{ color: "var(--accent)" }, {}], MOVED_MS);
  }

  #middle() {
    const { bids, asks } = this.book;
    if (this.market.indicative) return this.market.indicativeWords;
    if (!bids.length && !asks.length) return "The book is empty: the first order makes the market";
    if (!asks.length) return "Nobody offers to sell";
    if (!bids.length) return "Nobody bids";
    const decimals = this.rules.priceDecimals;
    const [bid, ask] = [toUnits(bids[0][0], decimals), toUnits(asks[0][0], decimals)];
    if (bid >= ask) return "Bids and asks overlap: they trade when the market opens";
    const tenthsOfBasisPoint = ((ask - bid) * 200_000n) / (ask + bid);
    return `Spread ${fromUnits(ask - bid, decimals)} ${this.rules.quote} · ${fromUnits(tenthsOfBasisPoint, 1)} bp`;
  }

  // Keyboard: one tab stop for the whole ladder, arrows from price to price.

  #prices() {
    const rows = [...this.rows.asks].reverse().concat(this.rows.bids);
    return rows.map((row) => row.price).filter((price) => !price.disabled);
  }

  #keepOneTabStop() {
    const prices = this.#prices();
    if (prices.some((price) => price.tabIndex === 0)) return;
    const first = this.rows.asks[0].price.disabled ? prices[0] : this.rows.asks[0].price;
    if (first) first.tabIndex = 0;
  }

  #pressed(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.target.matches(".price")) return;
    event.preventDefault();
    const prices = this.#prices();
    const next = prices[prices.indexOf(event.target) + step];
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  #clicked(event) {
    const price = event.target.closest("tr")?.dataset.price;
    if (price) this.pick(price);
  }
}

function newRow() {
  const price = element("button", { type: "button", className: "price", tabIndex: -1, disabled: true });
  const cells = ["size", "total", "count", "mine"].map((className) => element("td", { className }));
  const line = element("tr", {}, element("td", {}, price), ...cells);
  const [size, total, count, mine] = cells;
  return { line, price, size, total, count, mine };
}
