// The order ticket: checks what was typed, sends it, and keeps trying with the same client order id until it is known
// what became of it. The service answers a repeated id with the order it already has, so nothing is placed twice.

import { fromUnits, grouped, toUnits } from "./decimals.js";
import { byId, element, setData, setText } from "./dom.js";
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
    this.fields = form.elements;
    this.busy = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    form.addEventListener("input", () => { this.#clearNotes(); this.update(); });
    form.addEventListener("click", (event) => this.#step(event));
    this.update();
  }

  /** Take a price from the ladder. */
  takePrice(price) {
    if (this.fields.type.value === "market") this.fields.type.value = "limit";
    this.fields.price.value = price;
    this.#clearNotes();
    this.update();
    this.fields.quantity.focus();
  }

  /** Show what fits the choices made so far; also called when the book moves. */
  update() {
    const { side, type, time_in_force: time, post_only: postOnly } = this.fields;
    const market = type.value === "market";
    byId("price-field").hidden = market;
    byId("terms").hidden = market;
    postOnly.disabled = market || time.value !== "gtc";
    if (postOnly.disabled) postOnly.checked = false;
    const place = byId("place");
    place.dataset.side = side.value;
    if (!this.busy) setText(place, `${capital(side.value)} ${this.rules.base}`);
    setText(byId("value-label"), market ? "About" : "Value");
    setText(byId("value"), this.#value(market, side.value));
  }

  #value(market, side) {
    const { priceDecimals, quantityDecimals } = this.rules;
    let wanted = toUnits(this.fields.quantity.value.trim(), quantityDecimals);
    if (!wanted) return "–";
    let product = 0n;
    if (!market) {
      product = wanted * (toUnits(this.fields.price.value.trim(), priceDecimals) ?? 0n);
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
    const field = this.fields[button.dataset.step];
    const { decimals, unit } = this.#grid(button.dataset.step);
    const down = button.dataset.direction === "-1";
    let units = toUnits(field.value.trim(), decimals);
    if (units === null) units = this.#startingPoint(button.dataset.step, unit) ?? 0n;
    else if (units % unit) units += down ? -(units % unit) : unit - (units % unit);
    else units += down ? -unit : unit;
    field.value = fromUnits(units > 0n ? units : unit, decimals);
    this.#clearNotes();
    this.update();
  }

  #grid(name) {
    const { priceDecimals, quantityDecimals, priceTick, quantityStep } = this.rules;
    return name === "price"
      ? { decimals: priceDecimals, unit: toUnits(priceTick, priceDecimals), word: "tick" }
      : { decimals: quantityDecimals, unit: toUnits(quantityStep, quantityDecimals), word: "step" };
  }

  /** An empty price begins at the best price of the own side, an empty quantity at one step. */
  #startingPoint(name, unit) {
    if (name !== "price") return unit;
    const level = (this.fields.side.value === "buy" ? this.book.bids : this.book.asks)[0];
    return level ? toUnits(level[0], this.rules.priceDecimals) : unit;
  }

  // Checking: the service checks everything again; here it saves a round trip and points at the field.

  #check(name, title) {
    const field = this.fields[name];
    const { decimals, unit, word } = this.#grid(name);
    const text = field.value.trim();
    const units = toUnits(text, decimals);
    let note = "";
    if (!text) note = `Enter a ${title}.`;
    else if (!/^[0-9]+(\.[0-9]+)?$/.test(text)) note = `Write the ${title} with digits and a point, like ${fromUnits(unit * 1234n, decimals)}.`;
    else if (!/^[0-9]{1,15}(\.|$)/.test(text)) note = `The ${title} is too large.`;
    else if (units === 0n) note = `The ${title} must be more than zero.`;
    else if (units === null || units % unit) note = `The ${title} must be a multiple of the ${word}, ${fromUnits(unit, decimals)}.`;
    setText(byId(`${name}-note`), note);
    if (note) field.setAttribute("aria-invalid", "true");
    return !note;
  }

  #clearNotes() {
    for (const name of ["price", "quantity"]) {
      setText(byId(`${name}-note`), "");
      this.fields[name].removeAttribute("aria-invalid");
    }
    if (!this.busy && byId("ticket-status").dataset.kind === "refused") this.#say("", "");
  }

  #body() {
    const { side, type, price, quantity, time_in_force: time, post_only: postOnly } = this.fields;
    const body = {
      symbol: this.rules.symbol,
      side: side.value,
      type: type.value,
      quantity: quantity.value.trim(),
      self_trade_prevention: this.fields.self_trade_prevention.value,
      client_order_id: newClientOrderId(),
    };
    if (type.value === "limit") {
      body.price = price.value.trim();
      body.time_in_force = time.value;
      body.post_only = postOnly.checked;
    }
    return body;
  }

  // Sending

  #submit() {
    if (this.busy) return;
    const limit = this.fields.type.value === "limit";
    const good = [limit ? this.#check("price", "price") : true, this.#check("quantity", "quantity")];
    if (good.every(Boolean)) this.#send(this.#body());
    else this.form.querySelector('[aria-invalid="true"]').focus();
  }

  async #send(body) {
    this.#setBusy(true);
    this.#say("", "");
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
