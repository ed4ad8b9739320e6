// The tables of own open orders and fills, with amending and canceling in place.

import { byId, element, notice, setData, setText } from "./dom.js";
import { request, retrying } from "./rest.js";
import { capital, clock, fillWords, orderWords, termsWords } from "./words.js";

// A cancel or an amend may be sent twice without harm: both say how the order is to be, not what to change.
const ATTEMPTS = 6;

export class Blotter {
  constructor({ own, rules }) {
    this.own = own;
    this.rules = rules;
    this.rows = new Map();
    this.fillRows = new Map();
    this.body = byId("orders");
    byId("cancel-all").addEventListener("click", () => this.#cancelAll());
    own.addEventListener("fill", (event) => notice(`${fillWords(event.detail, rules.base)}.`, { side: event.detail.side }));
  }

  draw() {
    this.#drawOrders();
    this.#drawFills();
  }

  #drawOrders() {
    const orders = [...this.own.orders.values()].sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? 1 : -1));
    for (const [id, row] of this.rows) if (!this.own.orders.has(id)) this.#remove(id, row);
    let place = this.body.firstElementChild;
    for (const order of orders) {
      const row = this.rows.get(order.id) ?? this.#newRow(order.id);
      this.#fillRow(row, order);
      if (row.line === place) place = place.nextElementSibling;
      else this.body.insertBefore(row.line, place);
      if (row.editor) {
        if (row.editor === place) place = place.nextElementSibling;
        else row.line.after(row.editor);
      }
    }
    byId("orders-empty").hidden = orders.length > 0;
    byId("cancel-all").disabled = !orders.length;
    setText(byId("orders-count"), orders.length ? `${orders.length}${this.own.more ? "+" : ""}` : "");
  }

  #newRow(id) {
    const cell = (className, label) => element("td", { className, dataset: label ? { label } : {} });
    const cells = {
      side: cell("side"), price: cell("price", "at"), quantity: cell("quantity"), filled: cell("filled", "Filled"),
      terms: cell("terms"), placed: cell("placed"),
    };
    const amend = element("button", { type: "button", onclick: () => this.#edit(id) }, "Amend");
    const cancel = element("button", { type: "button", onclick: () => this.#cancel(id) }, "Cancel");
    const line = element("tr", { dataset: { order: id } }, ...Object.values(cells), element("td", { className: "actions" }, amend, cancel));
    const row = { line, cells, amend, cancel, editor: null };
    this.rows.set(id, row);
    return row;
  }

  #fillRow({ line, cells, amend, cancel }, order) {
    setData(line, "side", order.side);
    setText(cells.side, capital(order.side));
    setText(cells.price, order.price ?? "market");
    setText(cells.quantity, order.quantity);
    setText(cells.filled, order.filled_quantity);
    setText(cells.terms, termsWords(order));
    setText(cells.placed, clock(order.created_at));
    const words = orderWords(order, this.rules.base);
    amend.setAttribute("aria-label", `Amend: ${words}`);
    cancel.setAttribute("aria-label", `Cancel: ${words}`);
  }

  #remove(id, row) {
    this.rows.delete(id);
    if (row.editor?.contains(document.activeElement) || row.line.contains(document.activeElement)) byId("orders-title").focus?.();
    if (row.editor) notice("The order you were amending has ended.");
    row.line.remove();
    row.editor?.remove();
  }

  // Amending: a form in a row of its own below the order

  #edit(id) {
    const row = this.rows.get(id);
    if (row.editor) return this.#close(row);
    const order = this.own.orders.get(id);
    const field = (name, value) =>
      element("input", { name, value, inputMode: "decimal", autocomplete: "off", spellcheck: false, maxLength: 28 });
    const price = field("price", order.price);
    const quantity = field("quantity", order.quantity);
    const note = element("p", { className: "note", attributes: { role: "alert" } });
    const form = element(
      "form",
      { noValidate: true },
      element("span", { className: "title" }, "Amend"),
      element("label", {}, "Price", price),
      element("label", { title: "The total, with what is filled already" }, "Total quantity", quantity),
      element("button", { type: "submit" }, "Save"),
      element("button", { type: "button", className: "quiet", onclick: () => this.#close(row) }, "Close"),
    );
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#amend(id, row, { price, quantity, note }); });
    form.addEventListener("keydown", (event) => event.key === "Escape" && this.#close(row));
    row.editor = element("tr", { className: "editor" }, element("td", { colSpan: 7 }, form, note));
    row.amend.setAttribute("aria-expanded", "true");
    row.line.after(row.editor);
    price.select();
  }

  #close(row) {
    row.editor?.remove();
    row.editor = null;
    row.amend.removeAttribute("aria-expanded");
    if (row.line.isConnected) row.amend.focus();
  }

  async #amend(id, row, { price, quantity, note }) {
    const order = this.own.orders.get(id);
    const body = {};
    if (price.value.trim() !== order.price) body.price = price.value.trim();
    if (quantity.value.trim() !== order.quantity) body.quantity = quantity.value.trim();
    if (!Object.keys(body).length) return this.#close(row);
    setText(note, "");
    try {
      const answer = await this.#carryOut(row, () => request("PATCH", `orders/${id}`, body));
      this.#close(row);
      this.own.take(answer.body);
      const place = answer.body.priority_kept ? "It kept its place in the queue." : "It has a new place in the queue.";
      notice(`Amended: ${orderWords(answer.body, this.rules.base)}. ${place}`, { side: answer.body.side });
    } catch (error) {
      setText(note, error.message);
      row.editor ? price.focus() : notice(`Not amended. ${error.message}`, { refusal: true });
      if (error.outcome === "unknown") this.own.readSoon();
    }
  }

  // Canceling

  async #cancel(id) {
    const row = this.rows.get(id);
    const words = orderWords(this.own.orders.get(id), this.rules.base);
    let tries = 0;
    try {
      const answer = await this.#carryOut(row, () => { tries += 1; return request("DELETE", `orders/${id}`); });
      this.own.take(answer.body);
      notice(`Canceled: ${words}.`, { side: answer.body.side });
    } catch (error) {
      // After a lost answer this means that the first try did it.
      if (tries > 1 && error.code === "too_late_to_cancel") notice(`Ended: ${words}.`);
      else notice(`Not canceled: ${words}. ${error.message}`, { refusal: true });
      this.own.readSoon();
    }
  }

  async #cancelAll() {
    const button = byId("cancel-all");
    button.disabled = true;
    try {
      const path = `orders?symbol=${encodeURIComponent(this.rules.symbol)}`;
      const { body } = await retrying(() => request("DELETE", path), { attempts: ATTEMPTS });
      notice(body.count === 1 ? "Canceled one order." : `Canceled ${body.count} orders.`);
    } catch (error) {
      notice(`Cancel all: ${error.message}`, { refusal: true });
    }
    this.own.readSoon();
  }

  async #carryOut(row, send) {
    row.amend.disabled = row.cancel.disabled = true;
    row.line.dataset.busy = "true";
    try {
      return await retrying(send, { attempts: ATTEMPTS });
    } finally {
      row.amend.disabled = row.cancel.disabled = false;
      delete row.line.dataset.busy;
    }
  }

  #drawFills() {
    const body = byId("fills");
    const kept = new Map();
    const rows = this.own.fills.map((fill) => {
      const id = `${fill.shard}-${fill.sequence}`;
      const row = this.fillRows.get(id) ?? newFillRow(fill);
      kept.set(id, row);
      return row;
    });
    if (rows.length !== body.children.length || rows[0] !== body.firstElementChild) body.replaceChildren(...rows);
    this.fillRows = kept;
    byId("fills-empty").hidden = rows.length > 0;
  }
}

function newFillRow(fill) {
  const title = fill.liquidity === "maker" ? "Your order was in the book" : "Your order took from the book";
  return element(
    "tr",
    { dataset: { side: fill.side }, title },
    element("td", {}, fill.side === "buy" ? "Bought" : "Sold"),
    element("td", {}, fill.price),
    element("td", {}, fill.quantity),
    element("td", { className: "time" }, clock(fill.time)),
  );
}
