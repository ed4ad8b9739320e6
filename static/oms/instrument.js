// The instrument's state: its phase and when that ends, and in a call auction what the uncross would be now. Kept by the
// instruments channel; the rules and the coming phase changes are read over REST.

import { isZero } from "./decimals.js";
import { byId, setData, setText } from "./dom.js";
import { request } from "./rest.js";
import { capital, countdown, phaseWords, shortMoment } from "./words.js";

/** Events: "change". */
export class Instrument extends EventTarget {
  #sequence = -1;
  #epoch = -1;
  #schedule = [];

  constructor(rules, phase) {
    super();
    this.rules = rules;
    this.phase = phase;
    this.endsAt = null;
    this.indicative = null;
    this.lastPrice = null;
    setInterval(() => this.#draw(), 1_000);
    this.#draw();
  }

  /** A message of the instruments channel. */
  take(message) {
    if (message.type === "resync") return this.forget();
    if (message.epoch < this.#epoch || (message.epoch === this.#epoch && message.sequence < this.#sequence)) return;
    this.#epoch = message.epoch;
    this.#sequence = message.sequence;
    const changed = this.phase !== message.state;
    this.#set(message.state, message.phase_ends_at, message.indicative_price === null ? null : {
      price: message.indicative_price,
      volume: message.indicative_volume,
      surplus: message.indicative_surplus,
    });
    if (changed) this.read();
  }

  /** What the channel does not say: the phase changes to come, and the last price of a market without recent trades. */
  async read() {
    try {
      const { body } = await request("GET", `instruments/${encodeURIComponent(this.rules.symbol)}`);
      this.#schedule = body.schedule ?? [];
      this.lastPrice = body.last_price;
      // Until the channel has spoken, this is all there is.
      if (this.#sequence < 0) this.#set(body.state, body.phase_ends_at ?? null, body.indicative ?? null);
      else this.#set(this.phase, this.endsAt, this.indicative);
    } catch {
      // The badge tells of a lost connection; it is read again when the connection is back.
    }
  }

  /** The connection is new: what the channel says first is the truth, whatever was said before. */
  forget() {
    this.#sequence = this.#epoch = -1;
  }

  /** "Auction at 100.02: 35.000 would trade, 5.000 more to buy" */
  get indicativeWords() {
    const { price, volume } = this.indicative;
    return `Auction at ${price}: ${volume} would trade, ${this.surplusWords}`;
  }

  get surplusWords() {
    const { surplus } = this.indicative;
    if (isZero(surplus.replace("-", ""))) return "nothing is left over";
    return `${surplus.replace("-", "")} more to ${surplus.startsWith("-") ? "sell" : "buy"}`;
  }

  #set(phase, endsAt, indicative) {
    Object.assign(this, { phase, endsAt, indicative });
    this.#draw();
    this.dispatchEvent(new Event("change"));
  }

  #draw() {
    setData(byId("phase"), "phase", this.phase);
    setText(byId("phase"), capital(phaseWords(this.phase)));
    setText(byId("phase-until"), this.#until());
    const called = this.indicative !== null;
    for (const box of document.querySelectorAll(".strip .call")) box.hidden = !called;
    if (!called) return;
    setText(byId("indicative-price"), this.indicative.price);
    setText(byId("indicative-volume"), this.indicative.volume);
    setText(byId("indicative-surplus"), this.surplusWords);
    const side = this.indicative.surplus.startsWith("-") ? "sell" : "buy";
    setData(byId("indicative-surplus"), "side", isZero(this.indicative.surplus.replace("-", "")) ? null : side);
  }

  /** The end of the phase, or the next change of the schedule, whichever is first. */
  #until() {
    const now = Date.now();
    const coming = this.#schedule.filter(({ at }) => new Date(at).getTime() > now);
    let next = coming.find(({ state }) => state !== this.phase);
    if (this.endsAt && (!next || new Date(this.endsAt) <= new Date(next.at))) next = { at: this.endsAt, state: "continuous" };
    if (!next || (this.phase === "halted" && !this.endsAt)) return "";
    const seconds = (new Date(next.at).getTime() - now) / 1000;
    if (seconds < 0) return "";
    const when = seconds < 3600 ? `in ${countdown(seconds)}` : shortMoment(next.at);
    return `${phaseWords(next.state)} ${when}`;
  }
}
