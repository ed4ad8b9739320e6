// The fields of the ticket: which of them an order of each type has, what is wrong with them, and the request they make.

import { fromUnits, toUnits } from "./decimals.js";
import { byId, setText } from "./dom.js";

// "oco" is a limit order and a stop; the other kinds are types of the API.
const PRICES = {
  limit: ["price"], market: [], oco: ["price"], stop: ["stop_price"], stop_limit: ["stop_price", "price"],
  trailing_stop: ["trail"],
};
const ANY_LIFE = ["gtc", "day", "gtd", "ioc", "fok"];
const WAITING_LIFE = ["gtc", "day", "gtd"];
const LIVES = {
  limit: ANY_LIFE, market: [], oco: WAITING_LIFE, stop: WAITING_LIFE, stop_limit: ANY_LIFE, trailing_stop: WAITING_LIFE,
};
const LOSS_FIELDS = {
  stop: ["stop_loss.stop_price"], stop_limit: ["stop_loss.stop_price", "stop_loss.price"],
  trail_price: ["stop_loss.trail"], trail_percent: ["stop_loss.trail"],
};
const TITLES = {
  price: "price", quantity: "quantity", stop_price: "stop price", trail: "distance", display_quantity: "quantity to show",
  "take_profit.price": "price to take profit at", "stop_loss.stop_price": "stop price", "stop_loss.price": "limit",
  "stop_loss.trail": "distance",
};
// Where the ticket shows what the service says of a field by another name.
const SHOWN_AT = {
  trail_price: "trail", trail_percent: "trail", "stop_loss.trail_price": "stop_loss.trail",
  "stop_loss.trail_percent": "stop_loss.trail", stop_loss: "stop_loss.stop_price", take_profit: "take_profit.price",
};
const PERCENT = { decimals: 2, unit: 1n, word: "percentage's last digit" };
// The bounds the service has for a percentage.
const MOST_PERCENT = 9_999n;

/** An hour from now, to the minute, as a field for local times wants it. */
function inAnHour() {
  const at = new Date(Date.now() + 3_600_000 - new Date().getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 16);
}

export class Fields {
  constructor(form, rules) {
    this.form = form;
    this.rules = rules;
    this.boxes = new Map(Array.from(form.querySelectorAll("[data-field]"), (box) => [box.dataset.field, box]));
  }

  // Choices

  get side() { return this.form.elements.side.value; }
  get kind() { return this.form.elements.type.value; }
  get life() { return LIVES[this.kind].length ? this.form.elements.time_in_force.value : "ioc"; }
  get isOco() { return this.kind === "oco"; }
  get isBracket() { return !this.isOco && this.form.elements.bracket.checked; }
  get lossKind() { return this.form.elements.stop_kind.value; }

  input(name) { return this.form.elements[name]; }
  value(name) { return this.input(name).value.trim(); }

  /** Names of the fields the choices made so far ask for; those that may stay empty are left out. */
  asked() {
    const names = [...PRICES[this.kind], "quantity"];
    if (this.isBracket) names.push("take_profit.price");
    if (this.isOco || this.isBracket) names.push(...LOSS_FIELDS[this.lossKind]);
    return names;
  }

  get canShowLess() {
    return PRICES[this.kind].includes("price") && WAITING_LIFE.includes(this.life);
  }

  /** Show what fits the choices. */
  show() {
    const asked = new Set(this.asked());
    const { elements } = this.form;
    this.#offerLives();
    if (this.life === "gtd") {
      asked.add("expires_at");
      elements.expires_at.value ||= inAnHour();
    }
    if (LIVES[this.kind].length) asked.add("time_in_force");
    if (this.canShowLess) asked.add("display_quantity");
    for (const [name, box] of this.boxes) box.hidden = !asked.has(name);
    this.form.querySelector('[data-pair="trail"]').hidden = !asked.has("trail");
    byId("terms").hidden = !LIVES[this.kind].length;
    byId("bracket-choice").hidden = this.isOco;
    byId("legs").hidden = !this.isOco && !this.isBracket;
    setText(byId("stop-kind-label"), this.isOco ? "And a stop" : `Stop loss, ${this.side === "buy" ? "sell" : "buy"}`);
    setText(byId("legs-title"), this.isOco ? "The stop" : "Take profit and stop loss");
    setText(byId("trail-unit"), elements.trail_by.value === "percent" ? "%" : this.rules.quote);
    setText(byId("loss-trail-unit"), this.lossKind === "trail_percent" ? "%" : this.rules.quote);
    const post = elements.post_only;
    post.disabled = !["limit", "oco"].includes(this.kind) || !WAITING_LIFE.includes(this.life);
    if (post.disabled) post.checked = false;
  }

  #offerLives() {
    const select = this.form.elements.time_in_force;
    const lives = LIVES[this.kind];
    for (const option of select.options) option.hidden = option.disabled = !lives.includes(option.value);
    if (lives.length && !lives.includes(select.value)) select.value = lives[0];
  }

  /** What a number of this field is a multiple of. */
  grid(name) {
    const { priceDecimals, quantityDecimals, priceTick, quantityStep } = this.rules;
    const by = { trail: this.form.elements.trail_by.value, loss_trail: this.lossKind.replace("trail_", "") };
    const grid = this.input(name).dataset.grid;
    if (grid === "quantity") return { decimals: quantityDecimals, unit: toUnits(quantityStep, quantityDecimals), word: "step" };
    if (by[grid] === "percent") return PERCENT;
    return { decimals: priceDecimals, unit: toUnits(priceTick, priceDecimals), word: "tick" };
  }

  /** The units of a number that is right, else null. */
  units(name) {
    return this.#wrong(name) ? null : toUnits(this.value(name), this.grid(name).decimals);
  }

  // Checking: the service checks everything again; here it saves a round trip and points at the field.

  /** Whether all that is asked for is there and right; says nothing. */
  get complete() {
    return !this.#checked().some(([, wrong]) => wrong);
  }

  /** Say what is wrong, beside each field. Answers the first input at fault, or null. */
  check() {
    let first = null;
    for (const [name, wrong] of this.#checked()) {
      this.note(name, wrong);
      if (wrong) first ??= this.input(name);
    }
    return first;
  }

  #checked() {
    const found = this.asked().map((name) => [name, this.#wrong(name)]);
    if (this.canShowLess && this.value("display_quantity")) found.push(["display_quantity", this.#wrongDisplay()]);
    if (this.life === "gtd") found.push(["expires_at", this.#wrongTime()]);
    return found.map(([name, wrong]) => [name, wrong || (name === "stop_loss.stop_price" ? this.#wrongLoss() : "")]);
  }

  /** Of two linked prices, who sells wants more by the limit than by the stop, who buys less. */
  #wrongLoss() {
    const limit = this.isOco ? "price" : "take_profit.price";
    const [stop, other] = [this.units("stop_loss.stop_price"), this.units(limit)];
    if (stop === null || other === null) return "";
    const sells = (this.side === "sell") === this.isOco;
    if (sells ? stop < other : stop > other) return "";
    return `The stop price must be ${sells ? "below" : "above"} the ${TITLES[limit]}.`;
  }

  #wrong(name) {
    const { decimals, unit, word } = this.grid(name);
    const title = TITLES[name];
    const text = this.value(name);
    const units = toUnits(text, decimals);
    if (!text) return `Enter a ${title}.`;
    if (!/^[0-9]+(\.[0-9]+)?$/.test(text)) return `Write the ${title} with digits and a point, like ${fromUnits(unit * 1234n, decimals)}.`;
    if (!/^[0-9]{1,15}(\.|$)/.test(text)) return `The ${title} is too large.`;
    if (units === 0n) return `The ${title} must be more than zero.`;
    if (word === PERCENT.word && (units === null || units > MOST_PERCENT)) return "A percentage has at most two decimals and is below 100.";
    if (units === null || units % unit) return `The ${title} must be a multiple of the ${word}, ${fromUnits(unit, decimals)}.`;
    return "";
  }

  #wrongDisplay() {
    const wrong = this.#wrong("display_quantity");
    const [shown, all] = [this.units("display_quantity"), this.units("quantity")];
    return wrong || (shown !== null && all !== null && shown >= all ? "Show less than the quantity, or leave this empty." : "");
  }

  #wrongTime() {
    const text = this.value("expires_at");
    if (!text) return "Say until when.";
    return new Date(text) > new Date() ? "" : "That time is past.";
  }

  // Notes

  note(name, text) {
    const input = this.input(name);
    if (input.setAttribute === undefined) return;
    setText(byId(`${input.id}-note`), text);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    const more = input.closest("details");
    if (text && more) more.open = true;
  }

  /** Show what the service says is wrong, where the ticket has such a field. Answers whether it has them all. */
  noteErrors(errors) {
    let all = errors.length > 0;
    for (const { field, message } of errors) {
      const name = SHOWN_AT[field] ?? field;
      if (this.boxes.has(name) && !this.boxes.get(name).hidden) this.note(name, `${message.charAt(0).toUpperCase()}${message.slice(1)}.`);
      else all = false;
    }
    return all;
  }

  clearNotes() {
    for (const name of this.boxes.keys()) this.note(name, "");
  }

  // The request

  /** The body of the request, without a client order id. Only when ``complete``. */
  body() {
    const { kind } = this;
    const body = {
      symbol: this.rules.symbol,
      side: this.side,
      type: this.isOco ? "limit" : kind,
      quantity: this.value("quantity"),
      self_trade_prevention: this.form.elements.self_trade_prevention.value,
    };
    for (const name of PRICES[kind]) {
      if (name === "trail") body[`trail_${this.form.elements.trail_by.value}`] = this.value(name);
      else body[name] = this.value(name);
    }
    if (LIVES[kind].length) body.time_in_force = this.life;
    if (this.life === "gtd") body.expires_at = new Date(this.value("expires_at")).toISOString();
    if (!this.form.elements.post_only.disabled) body.post_only = this.form.elements.post_only.checked;
    if (this.canShowLess && this.value("display_quantity")) body.display_quantity = this.value("display_quantity");
    if (this.isOco || this.isBracket) {
      body.order_class = this.isOco ? "oco" : "bracket";
      body.stop_loss = this.#stopLoss();
    }
    if (this.isBracket) body.take_profit = { price: this.value("take_profit.price") };
    return body;
  }

  #stopLoss() {
    if (this.lossKind.startsWith("trail_")) return { [this.lossKind]: this.value("stop_loss.trail") };
    const loss = { stop_price: this.value("stop_loss.stop_price") };
    return this.lossKind === "stop_limit" ? { ...loss, price: this.value("stop_loss.price") } : loss;
  }
}
