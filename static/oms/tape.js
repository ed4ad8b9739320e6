// The tape: the market's trades, newest first.

import { byId, element, setData, setText } from "./dom.js";
import { clock } from "./words.js";

// Older trades fall off the end; REST has them.
const KEPT = 60;

export class Tape {
  constructor() {
    this.body = byId("tape");
    this.last = null;
  }

  /** Ignore updates until the next snapshot. */
  pause() {
    this.last = null;
  }

  /** One message of the trades channel. False where trades are missing before it: subscribe again. */
  apply(message) {
    const { trades } = message;
    if (message.type === "skipped") {
      // We read too slowly: a tape with a hole is not shown on.
      this.pause();
      return false;
    }
    if (message.type === "snapshot") {
      this.body.replaceChildren();
    } else if (this.last === null || message.sequence <= this.last) {
      return true;
    } else if (message.previous !== this.last) {
      this.pause();
      return false;
    }
    this.last = message.sequence;
    this.body.prepend(...trades.slice(-KEPT).map((trade) => row(trade, message.type === "update")).reverse());
    while (this.body.children.length > KEPT) this.body.lastElementChild.remove();
    byId("tape-empty").hidden = this.body.children.length > 0;
    if (trades.length) this.showLast(trades.at(-1));
    return true;
  }

  showLast({ price, taker_side: side }) {
    const shown = byId("last-price");
    setText(shown, price);
    setData(shown, "side", side);
    document.title = `${price} · ${byId("content").dataset.symbol} · oms`;
  }
}

function row(trade, fresh) {
  const title = `${trade.taker_side === "buy" ? "A buyer" : "A seller"} took it`;
  const price = element("td", { title }, trade.price);
  const size = element("td", {}, trade.quantity);
  const time = element("td", {}, clock(trade.time));
  return element("tr", { className: fresh ? "fresh" : "", dataset: { side: trade.taker_side } }, price, size, time);
}
