// What people read: one place for the words, so that a reason is called the same everywhere.

import { isZero } from "./decimals.js";

const REASONS = {
  ioc: "the rest could not trade at once",
  fok: "it could not trade all at once",
  no_liquidity: "nobody was there to trade with",
  self_trade: "it would have traded with your own order",
  price_collar: "the next price was beyond the collar",
  amended_to_filled: "the new total was already filled",
  user_request: "as asked",
  operator_request: "by an operator",
};
const PHASES = { continuous: "open", pre_open: "before the open", no_cancel: "no cancels" };
const TERMS = { gtc: "until canceled", ioc: "now or cancel", fok: "all or nothing" };

export const reasonWords = (reason) => REASONS[reason] ?? (reason ?? "").replaceAll("_", " ");
export const phaseWords = (phase) => PHASES[phase] ?? phase.replaceAll("_", " ");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function termsWords(order) {
  const words = [order.type === "limit" ? TERMS[order.time_in_force] ?? order.time_in_force : order.type];
  if (order.post_only) words.push("post only");
  return words.join(", ");
}

/** "Buy 5.000 ACME at 99.98" */
export function orderWords(order, base) {
  return `${capital(order.side)} ${order.quantity} ${base} ${order.price ? `at ${order.price}` : "at the market"}`;
}

export function fillWords(fill, base) {
  return `${fill.side === "buy" ? "Bought" : "Sold"} ${fill.quantity} ${base} at ${fill.price}`;
}

/** What became of an order that was just placed. */
export function placedWords(order, base) {
  const what = orderWords(order, base);
  const traded = isZero(order.filled_quantity) ? "" : `${order.filled_quantity} traded at ${order.average_price} on average`;
  if (order.status === "filled") return `${what}: filled at ${order.average_price} on average.`;
  if (order.status === "new") return `${what}: in the book.`;
  if (order.status === "partially_filled") return `${what}: ${traded}, the rest is in the book.`;
  const ended = `${order.status}${order.reason ? `, ${reasonWords(order.reason)}` : ""}`;
  return `${what}: ${traded ? `${traded}, the rest ` : ""}${ended}.`;
}

/** The local time of day of a UTC timestamp, with seconds. */
export function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}
