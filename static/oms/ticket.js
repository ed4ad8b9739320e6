// The order ticket: sends what its fields say, and keeps trying with the same client order id until it is known what became
// of it. The service answers a repeated id with the order it already has, so nothing is placed twice.

import { fromUnits, grouped, toUnits } from "./decimals.js";
import { byId, element, setData, setText } from "./dom.js";
import { Fields } from "./fields.js";
import { Preview } from "./preview.js";
import { request, retrying } from "./rest.js";
import { capital, placedWords } from "./words.js";

/** Made here and not by the server, so that an order whose answer was lost can be asked for again. */
export function newClientOrderId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export class Ticket {
  /** `rules` of the instrument, `book`, and `placed(order)` for what was accepted. */
  constructor({ form, rules, book, placed }) {
    this.form = form;
    this.rules = rules;
    this.book = book;
    this.placed = placed;
    this.fields = new Fields(form, rules);
    this.preview = new Preview(this.fields, rules);
    this.busy = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    form.addEventListener("input", () => this.#changed());
    form.addEventListener("click", (event) => this.#step(event));
    this.fields.show();
    this.update();
  }

  /** Take a price from the ladder: into the field that is asked for first. */
  takePrice(price) {
    const { type } = this.form.elements;
    if (type.value === "market" || type.value === "trailing_stop") type.value = "limit";
    const name = type.value === "stop" ? "stop_price" : "price";
    this.fields.input(name).value = price;
    this.#changed();
    this.form.elements.quantity.focus();
  }

  #changed() {
    this.#clearNotes();
    this.fields.show();
    this.update();
    this.preview.ask();
  }

  /** Also called when the book moves. */
  update() {
    const { side, kind } = this.fields;
    const place = byId("place");
    place.dataset.side = side;
    if (!this.busy) setText(place, `${capital(side)} ${this.rules.base}`);
    const limited = ["limit", "oco", "stop_limit"].includes(kind);
    setText(byId("value-label"), limited ? "Value" : "About");
    setText(byId("value"), this.#value(side, kind, limited));
    this.preview.marketMoved();
  }

  #value(side, kind, limited) {
    const { priceDecimals, quantityDecimals } = this.rules;
    let wanted = toUnits(this.fields.value("quantity"), quantityDecimals);
    if (!wanted) return "–";
    let product = 0n;
    if (limited || kind === "stop") {
      product = wanted * (toUnits(this.fields.value(limited ? "price" : "stop_price"), priceDecimals) ?? 0n);
    } else {
      for (const [price, quantity] of side === "buy" ? this.book.asks : this.book.bids) {
        const there = toUnits(quantity, quantityDecimals);
        const taken = there < wanted ? there : wanted;
        product += taken * toUnits(price, priceDecimals);
        wanted -= taken;
      }
      if (wanted) return "more than the book shows";
    }
    if (!product) return "–";
    return grouped(fromUnits(product / 10n ** BigInt(quantityDecimals), priceDecimals));
  }

  /** The minus and plus buttons: to the next multiple of the tick or step. */
  #step(event) {
    const button = event.target.closest("[data-step]");
    if (!button) return;
    const field = byId(button.dataset.step);
    const { decimals, unit } = this.fields.grid(field.name);
    const down = button.dataset.direction === "-1";
    let units = toUnits(field.value.trim(), decimals);
    if (units === null) units = this.#startingPoint(field.name, unit) ?? 0n;
    else if (units % unit) units += down ? -(units % unit) : unit - (units % unit);
    else units += down ? -unit : unit;
    field.value = fromUnits(units > 0n ? units : unit, decimals);
    this.#changed();
  }

  /** An empty price begins at the best price of the own side, a stop price at the other side's, a quantity at one step. */
  #startingPoint(name, unit) {
    if (name === "quantity") return unit;
    const buys = (this.fields.side === "buy") === (name === "price");
    const level = (buys ? this.book.bids : this.book.asks)[0];
    return level ? toUnits(level[0], this.rules.priceDecimals) : unit;
  }

  #clearNotes() {
    this.fields.clearNotes();
    if (!this.busy && byId("ticket-status").dataset.kind === "refused") this.#say("", "");
  }

  // Sending

  #submit() {
    if (this.busy) return;
    const wrong = this.fields.check();
    if (wrong) wrong.focus();
    else this.#send({ ...this.fields.body(), client_order_id: newClientOrderId() });
  }

  async #send(body) {
    this.#setBusy(true);
    this.#say("", "");
    this.preview.clear();
    try {
      const answer = await retrying(() => request("POST", "orders", body), {
        onRetry: (attempt, error) =>
          this.#say(`${error.message} Trying again with the same order id, attempt ${attempt}.`, "trying"),
      });
      this.#say(placedWords(answer.body, this.rules.base), "placed");
      this.placed(answer.body);
    } catch (error) {
      this.#refused(error, body);
    } finally {
      this.#setBusy(false);
    }
  }

  #refused(error, body) {
    const status = byId("ticket-status");
    if (error.outcome === "unknown") {
      this.#say("It is not known whether the order was placed. Trying again is safe: it has the same id.", "refused");
      const again = element("button", { type: "button", onclick: () => this.#send(body) }, "Try again");
      status.append(element("br"), again);
    } else if (this.fields.noteErrors(error.errors ?? [])) {
      this.#say("Not placed: see the fields above.", "refused");
      this.form.querySelector('[aria-invalid="true"]').focus();
    } else {
      this.#say(`Not placed. ${error.message}`, "refused");
    }
    if (error.code === "not_authenticated") status.append(" ", element("a", { href: this.rules.login }, "Sign in"));
  }

  #say(text, kind) {
    const status = byId("ticket-status");
    // Refusals interrupt a screen reader, the rest waits its turn.
    status.setAttribute("role", kind === "refused" ? "alert" : "status");
    setData(status, "kind", kind);
    status.textContent = text;
  }

  #setBusy(busy) {
    this.busy = busy;
    const place = byId("place");
    place.disabled = busy;
    if (busy) setText(place, "Sending…");
    else this.update();
  }
}
