// What would become of the order in the ticket, as the service itself says it: every check and the expected fills, nothing
// placed. Asked when the typing stops, and again now and then while the market moves.

import { isZero } from "./decimals.js";
import { byId, setData, setText } from "./dom.js";
import { request } from "./rest.js";
import { checkWords, reasonWords } from "./words.js";

const AFTER_TYPING_MS = 350;
const WHILE_MOVING_MS = 3_000;

export class Preview {
  #timer = null;
  #asked = 0;
  #askedAt = -Infinity;

  constructor(fields, rules) {
    this.fields = fields;
    this.rules = rules;
    this.line = byId("preview");
  }

  /** The order was changed. */
  ask() {
    clearTimeout(this.#timer);
    if (!this.fields.complete) return this.clear();
    setData(this.line, "fresh", null);
    this.#timer = setTimeout(() => this.#read(), AFTER_TYPING_MS);
  }

  /** The book has moved: what was said may not be true any more. */
  marketMoved() {
    if (!this.line.textContent || this.#timer || document.hidden) return;
    const wait = Math.max(0, this.#askedAt + WHILE_MOVING_MS - performance.now());
    this.#timer = setTimeout(() => this.#read(), wait);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#asked += 1;
    this.#say("", "");
  }

  async #read() {
    this.#timer = null;
    if (!this.fields.complete) return this.clear();
    const mine = (this.#asked += 1);
    this.#askedAt = performance.now();
    try {
      const { body } = await request("POST", "orders/validate", this.fields.body());
      if (mine === this.#asked) this.#say(this.#words(body), body.accepted ? "good" : "bad");
    } catch (error) {
      // A request that makes no sense is told like a refusal; that the service is away, the badge tells.
      if (mine === this.#asked) this.#say(error.code === "invalid_request" ? `Would be refused: ${error.message}` : "", "bad");
    }
  }

  #say(text, kind) {
    setData(this.line, "kind", kind);
    setText(this.line, text);
  }

  #words(answer) {
    const { base } = this.rules;
    if (!answer.accepted) return `Would be refused: ${refusal(answer)}.`;
    const said = [];
    if (!isZero(answer.filled_quantity ?? "0")) {
      const prices = answer.fills.length === 1 ? "" : ` over ${answer.fills.length} prices`;
      said.push(`fill ${answer.filled_quantity} ${base} at ${answer.average_price}${answer.fills.length === 1 ? "" : " on average"}${prices}`);
    }
    if (answer.status === "untriggered") said.push("wait for the last price");
    else if (answer.queue) said.push(`wait in the book at ${answer.queue.price}, ${ahead(answer.queue, base)}`);
    if (answer.status === "canceled" || answer.status === "expired") {
      const rest = said.length ? "then end" : "end";
      said.push(`${rest}: ${reasonWords(answer.canceled_reason ?? answer.reason) || answer.status}`);
    }
    const first = answer.triggered ? "Would trigger at once and " : "Would ";
    const more = answer.truncated ? " (as far as was looked)" : "";
    return said.length ? `${first}${said.join(", ")}${more}.` : "";
  }
}

function refusal(answer) {
  const failed = [answer, ...(answer.legs ?? [])].flatMap((one) => one.checks ?? []).find((check) => !check.passed);
  return failed ? checkWords(failed) : reasonWords(answer.reason);
}

function ahead({ quantity_ahead: quantity, orders_ahead: orders }, base) {
  return isZero(quantity) ? "first in line" : `behind ${quantity} ${base} of ${orders === 1 ? "one order" : `${orders} orders`}`;
}
