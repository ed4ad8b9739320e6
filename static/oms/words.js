// What people read: one place for the words, so that a reason is called the same everywhere.

import { isZero } from "./decimals.js";

const REASONS = {
  ioc: "the rest could not trade at once",
  fok: "it could not trade all at once",
  no_liquidity: "nobody was there to trade with",
  self_trade: "it would have traded with your own order",
  price_collar: "the price is beyond the collar",
  amended_to_filled: "the new total was already filled",
  user_request: "as asked",
  operator_request: "by an operator",
  day: "the session has ended",
  gtd: "its time is over",
  linked_order: "a linked order traded or ended",
  linked_order_refused: "a linked order was refused",
  cancel_after: "the cancel-after lease ran out",
  market_closed: "the market is closed",
  market_halted: "trading is halted",
  market_not_continuous: "only orders that can rest are taken now",
  account_halted: "the account is halted",
  account_reducing_only: "the account may only reduce its position",
  price_not_on_tick: "a price is not a multiple of the tick",
  quantity_not_on_step: "the quantity is not a multiple of the step",
  quantity_below_minimum: "the quantity is below the minimum",
  display_quantity_too_small: "too little of it would be shown",
  risk_max_quantity: "the quantity is above the maximum",
  risk_max_notional: "the value is above the maximum",
  risk_max_open_orders: "there are too many open orders",
  risk_max_position: "the position would be too large",
  too_many_trailing_stops: "too many trailing stops wait in this book",
  insufficient_funds: "there are not enough funds",
  rate_limited: "too many messages a second",
  post_only_would_cross: "a post-only order would trade at once",
};
const PHASES = {
  continuous: "open", pre_open: "before the open", auction: "auction", no_cancel: "auction, no cancels", halted: "halted",
  closed: "closed",
};
const TERMS = {
  gtc: "until canceled", ioc: "now or cancel", fok: "all or nothing", day: "for the session", gtd: "until",
};
const TYPES = { market: "market", stop: "stop", stop_limit: "stop limit", trailing_stop: "trailing stop" };
const ROLES = {
  oco_limit: "OCO", oco_stop: "OCO", entry: "entry of a bracket", take_profit: "take profit", stop_loss: "stop loss",
};

export const reasonWords = (reason) => REASONS[reason] ?? (reason ?? "").replaceAll("_", " ");
export const phaseWords = (phase) => PHASES[phase] ?? phase.replaceAll("_", " ");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A check that fails, with its numbers where it has any. */
export function checkWords({ check, limit, value }) {
  const numbers = [limit && `limit ${limit}`, value && `here ${value}`].filter(Boolean);
  return `${reasonWords(check)}${numbers.length ? ` (${numbers.join(", ")})` : ""}`;
}

export function termsWords(order) {
  const words = [];
  if (TYPES[order.type]) words.push(TYPES[order.type]);
  if (order.type !== "market") words.push(lifeWords(order));
  if (order.post_only) words.push("post only");
  return words.join(", ");
}

function lifeWords(order) {
  const words = TERMS[order.time_in_force] ?? order.time_in_force;
  return order.time_in_force === "gtd" ? `${words} ${shortMoment(order.expires_at)}` : words;
}

/** "take profit, waits for the entry"; empty for an order on its own. `isHeld`: the entry of its bracket is still open. */
export function relationWords(order, isHeld = false) {
  if (!order.role) return "";
  const held = isHeld && ["take_profit", "stop_loss"].includes(order.role);
  return `${ROLES[order.role] ?? order.role}${held ? ", waits for the entry" : ""}`;
}

/** "≥ 105.00" and what it trails by; empty where the order waits for nothing. */
export function stopWords(order) {
  if (!["stop", "stop_limit", "trailing_stop"].includes(order.type)) return "";
  const at = order.stop_price ? `${order.side === "buy" ? "≥" : "≤"} ${order.stop_price}` : "";
  if (order.type !== "trailing_stop") return at;
  return `${at}${at ? ", " : ""}trails ${order.trail_price ?? `${order.trail_percent} %`}`;
}

/** "Buy 5.000 ACME at 99.98" */
export function orderWords(order, base) {
  let price = order.price ? `at ${order.price}` : "at the market";
  if (order.status === "untriggered" && order.type === "trailing_stop") price = "with a trailing stop";
  else if (order.status === "untriggered" && order.stop_price) price = `${price}, stop ${order.stop_price}`;
  return `${capital(order.side)} ${order.quantity} ${base} ${price}`;
}

export function fillWords(fill, base) {
  return `${fill.side === "buy" ? "Bought" : "Sold"} ${fill.quantity} ${base} at ${fill.price}`;
}

function legWords(leg) {
  const at = leg.stop_price ? ` at ${leg.stop_price}` : leg.price ? ` at ${leg.price}` : "";
  return `${leg.role === "oco_stop" ? "a stop" : ROLES[leg.role]}${at}`;
}

/** What became of an order that was just placed. */
export function placedWords(order, base) {
  const what = `${orderWords(order, base)}${order.legs?.length ? `, with ${order.legs.map((leg) => legWords(leg)).join(" and ")}` : ""}`;
  const traded = isZero(order.filled_quantity) ? "" : `${order.filled_quantity} traded at ${order.average_price} on average`;
  if (order.status === "filled") return `${what}: filled at ${order.average_price} on average.`;
  if (order.status === "new") return `${what}: in the book.`;
  if (order.status === "untriggered") return `${what}: waits for the last price.`;
  if (order.status === "partially_filled") return `${what}: ${traded}, the rest is in the book.`;
  const ended = `${order.status}${order.reason ? `, ${reasonWords(order.reason)}` : ""}`;
  return `${what}: ${traded ? `${traded}, the rest ` : ""}${ended}.`;
}

/** The local time of day of a UTC timestamp, with seconds. */
export function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

/** The time of day, with the date where that is not today. */
export function moment(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock(time) : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock(time)}`;
}

/** The same without seconds that say nothing. */
export const shortMoment = (time) => moment(time).replace(/:00$/, "");

/** Seconds as "0:42", "12:05" or "3:00:09". */
export function countdown(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
