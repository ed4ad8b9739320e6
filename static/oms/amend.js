// The form below an open order that amends it: the fields that this order has and that may change.

import { element, setText } from "./dom.js";

// Field of the API, its label, and whether an order has it.
const FIELDS = [
  ["price", "Price", (order) => Boolean(order.price)],
  ["stop_price", "Stop price", (order) => order.status === "untriggered" && ["stop", "stop_limit"].includes(order.type)],
  ["trail_price", "Trails by", (order) => order.status === "untriggered" && Boolean(order.trail_price)],
  ["trail_percent", "Trails by %", (order) => order.status === "untriggered" && Boolean(order.trail_percent)],
  ["quantity", "Total quantity", (order) => !order.role],
  ["display_quantity", "Shows", (order) => Boolean(order.display_quantity)],
];

export class AmendForm {
  /** `send(changes)` gets what was changed and may throw a problem; `close()` is called when there is nothing more to do. */
  constructor({ order, columns, send, close }) {
    this.order = order;
    this.send = send;
    this.close = close;
    this.inputs = new Map();
    this.note = element("p", { className: "note", attributes: { role: "alert" } });
    const labels = FIELDS.filter(([, , has]) => has(order)).map(([name, label]) => this.#label(name, label));
    const form = element(
      "form",
      { noValidate: true },
      element("span", { className: "title" }, "Amend"),
      ...labels,
      element("button", { type: "submit" }, "Save"),
      element("button", { type: "button", className: "quiet", onclick: close }, "Close"),
    );
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    form.addEventListener("keydown", (event) => event.key === "Escape" && close());
    this.row = element("tr", { className: "editor" }, element("td", { colSpan: columns }, form, this.note));
  }

  focus() {
    this.inputs.values().next().value.select();
  }

  #label(name, text) {
    const input = element("input", {
      name, value: this.order[name], inputMode: "decimal", autocomplete: "off", spellcheck: false, maxLength: 28,
    });
    this.inputs.set(name, input);
    return element("label", name === "quantity" ? { title: "The total, with what is filled already" } : {}, text, input);
  }

  async #submit() {
    const changes = {};
    for (const [name, input] of this.inputs) {
      input.removeAttribute("aria-invalid");
      if (input.value.trim() !== this.order[name]) changes[name] = input.value.trim();
    }
    if (!Object.keys(changes).length) return this.close();
    setText(this.note, "");
    try {
      await this.send(changes);
    } catch (error) {
      setText(this.note, error.message);
      const wrong = this.inputs.get(error.errors?.[0]?.field);
      wrong?.setAttribute("aria-invalid", "true");
      (wrong ?? this.inputs.values().next().value).focus();
    }
  }
}
