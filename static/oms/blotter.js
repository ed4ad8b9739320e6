// The tables of own open orders and fills, with amending and canceling in place.

import { AmendForm } from "./amend.js";
import { byId, element, notice, setData, setText } from "./dom.js";
import { request, retrying } from "./rest.js";
import { capital, clock, fillWords, orderWords, relationWords, stopWords, termsWords } from "./words.js";

// A cancel or an amend may be sent twice without harm: both say how the order is to be, not what to change.
const ATTEMPTS = 6;
const COLUMNS = 8;

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
    const orders = [...this.own.orders.values()].sort(newestFirst);
    for (const [id, row] of this.rows) if (!this.own.orders.has(id)) this.#remove(id, row);
    let place = this.body.firstElementChild;
    for (const [index, order] of orders.entries()) {
      const row = this.rows.get(order.id) ?? this.#newRow(order.id);
      this.#fillRow(row, order);
      setData(row.line, "linked", linked(orders, index));
      if (row.line === place) place = place.nextElementSibling;
      else this.body.insertBefore(row.line, place);
      if (row.editor) {
        if (row.editor.row === place) place = place.nextElementSibling;
        else row.line.after(row.editor.row);
      }
    }
    byId("orders-empty").hidden = orders.length > 0;
    byId("cancel-all").disabled = !orders.length;
    setText(byId("orders-count"), orders.length ? `${orders.length}${this.own.more ? "+" : ""}` : "");
  }

  #newRow(id) {
    const cell = (className, label, ...children) =>
      element("td", { className, dataset: label ? { label } : {} }, ...children);
    const total = element("span");
    const tip = element("span", { className: "tip" });
    const relation = element("span", { className: "relation" });
    const terms = element("span");
    const cells = {
      side: cell("side"), price: cell("price", "at"), stop: cell("stop", "Stop"), quantity: cell("quantity", "", total, tip),
      filled: cell("filled", "Filled"), terms: cell("terms", "", relation, terms), placed: cell("placed"),
    };
    const amend = element("button", { type: "button", onclick: () => this.#edit(id) }, "Amend");
    const cancel = element("button", { type: "button", onclick: () => this.#cancel(id) }, "Cancel");
    const actions = element("td", { className: "actions" }, amend, cancel);
    const line = element("tr", { dataset: { order: id } }, ...Object.values(cells), actions);
    const row = { line, cells, total, tip, relation, terms, amend, cancel, editor: null };
    this.rows.set(id, row);
    return row;
  }

  #fillRow({ line, cells, total, tip, relation, terms, amend, cancel }, order) {
    setData(line, "side", order.side);
    setData(line, "waits", order.status === "untriggered" ? "true" : null);
    setText(cells.side, capital(order.side));
    setText(cells.price, order.price ?? "market");
    setText(cells.stop, stopWords(order));
    setText(total, order.quantity);
    setText(tip, order.display_quantity ? `shows ${order.display_quantity}` : "");
    setText(cells.filled, order.filled_quantity);
    setText(relation, relationWords(order, this.own.orders.has(order.group_id)));
    setText(terms, termsWords(order));
    setText(cells.placed, clock(order.created_at));
    const words = orderWords(order, this.rules.base);
    amend.setAttribute("aria-label", `Amend: ${words}`);
    cancel.setAttribute("aria-label", `Cancel: ${words}`);
  }

  #remove(id, row) {
    this.rows.delete(id);
    const focused = row.editor?.row.contains(document.activeElement) || row.line.contains(document.activeElement);
    if (focused) byId("orders-title").focus();
    if (row.editor) notice("The order you were amending has ended.");
    row.line.remove();
    row.editor?.row.remove();
  }

  // Amending: a form in a row of its own below the order

  #edit(id) {
    const row = this.rows.get(id);
    if (row.editor) return this.#close(row);
    row.editor = new AmendForm({
      order: this.own.orders.get(id),
      columns: COLUMNS,
      send: (changes) => this.#amend(id, row, changes),
      close: () => this.#close(row),
    });
    row.amend.setAttribute("aria-expanded", "true");
    row.line.after(row.editor.row);
    row.editor.focus();
  }

  #close(row) {
    row.editor?.row.remove();
    row.editor = null;
    row.amend.removeAttribute("aria-expanded");
    if (row.line.isConnected) row.amend.focus();
  }

  async #amend(id, row, changes) {
    try {
      const answer = await this.#carryOut(row, () => request("PATCH", `orders/${id}`, changes));
      this.#close(row);
      this.own.take(answer.body);
      const place = answer.body.priority_kept ? "It kept its place in the queue." : "It has a new place in the queue.";
      notice(`Amended: ${orderWords(answer.body, this.rules.base)}. ${place}`, { side: answer.body.side });
    } catch (error) {
      if (error.outcome === "unknown") this.own.readSoon();
      if (row.editor) throw error;
      notice(`Not amended. ${error.message}`, { refusal: true });
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

/** The newest first, and what was placed together side by side, in the order in which it was. */
function newestFirst(one, other) {
  const [first, second] = [BigInt(one.group_id ?? one.id), BigInt(other.group_id ?? other.id)];
  if (first !== second) return first < second ? 1 : -1;
  return BigInt(one.id) < BigInt(other.id) ? -1 : 1;
}

/** Where an order stands among those of its group that are shown: "first", "middle", "last", or nothing. */
function linked(orders, index) {
  const group = orders[index].group_id;
  if (!group) return null;
  const [before, after] = [orders[index - 1]?.group_id === group, orders[index + 1]?.group_id === group];
  return before ? (after ? "middle" : "last") : after ? "first" : null;
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
