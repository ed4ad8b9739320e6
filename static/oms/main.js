// The market page: wires the feed, the book, the ticket and the tables together.

import { Blotter } from "./blotter.js";
import { APPLIED, BROKEN, Book } from "./book.js";
import { byId, notice, oncePerFrame, setData, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { Instrument } from "./instrument.js";
import { Ladder } from "./ladder.js";
import { Own } from "./own.js";
import { Tape } from "./tape.js";
import { Ticket } from "./ticket.js";

const DEPTH = 25;

const { dataset } = byId("content");
const rules = {
  symbol: dataset.symbol,
  base: dataset.base,
  quote: dataset.quote,
  priceDecimals: Number(dataset.priceDecimals),
  quantityDecimals: Number(dataset.quantityDecimals),
  priceTick: dataset.priceTick,
  quantityStep: dataset.quantityStep,
  login: dataset.login,
};
const signedIn = Boolean(dataset.account);

const feed = new Feed(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/v1`);
const book = new Book(DEPTH);
const tape = new Tape();
const own = new Own(rules);
const market = new Instrument(rules, byId("phase").dataset.phase);
const blotter = signedIn ? new Blotter({ own, rules }) : null;
const form = byId("ticket");
const ticket = form ? new Ticket({ form, rules, book, placed: (order) => { own.take(order); own.readSoon(); } }) : null;
const ladder = new Ladder({ book, rules, market, own: () => own.byPrice(), pick: (price) => ticket?.takePrice(price) });

// Drawing

const drawMarket = oncePerFrame(() => {
  ladder.draw();
  ticket?.update();
  if (!book.ready) return;
  setText(byId("best-bid"), book.bids[0]?.[0] ?? "–");
  setText(byId("best-ask"), book.asks[0]?.[0] ?? "–");
});
const drawOwn = oncePerFrame(() => {
  blotter?.draw();
  ladder.draw();
});
own.addEventListener("change", drawOwn);
market.addEventListener("change", () => {
  if (market.lastPrice && byId("last-price").textContent === "–") setText(byId("last-price"), market.lastPrice);
  drawMarket();
});
own.addEventListener("unread", ({ detail }) => detail.retryable || notice(detail.message, { refusal: true }));

// The feed

/** The last executions event we have seen on each shard: where to resume after a lost connection. */
const seen = {};

let executionsId = null;

/** Subscribe, or begin anew: subscribing again gives a new snapshot. */
function subscribe(channel) {
  if (channel === "executions") {
    const after = Object.keys(seen).length ? { after: seen } : {};
    executionsId = feed.send({ op: "subscribe", channel, ...after });
  } else {
    feed.send({ op: "subscribe", channel, symbols: [rules.symbol], ...(channel === "book" ? { depth: DEPTH } : {}) });
  }
}

function takeBook(message) {
  if (message.type === "resync") return book.clear();
  const result = book.apply(message);
  if (result === BROKEN) subscribe("book");
  if (result === APPLIED) drawMarket();
}

function takeTrades(message) {
  if (message.type === "resync") return tape.pause();
  if (!tape.apply(message)) subscribe("trades");
  else if (message.type === "update") own.priceMoved();
}

function takeExecutions(message) {
  const { shard, sequence, type } = message;
  if (type === "snapshot") {
    seen[shard] = Math.max(sequence, seen[shard] ?? 0);
    own.readSoon();
    return;
  }
  if (seen[shard] !== undefined && sequence <= seen[shard]) return;
  if (seen[shard] !== undefined && message.previous > seen[shard]) own.readSoon();
  seen[shard] = sequence;
  own.apply(message);
}

/** An operation was refused. Executions that cannot be resumed (too long ago, or another database) are begun anew. */
function takeRefusal(message) {
  const resuming = message.id === executionsId && Object.keys(seen).length > 0;
  if (resuming && ["resume_too_old", "invalid_request"].includes(message.problem?.code)) {
    for (const shard of Object.keys(seen)) delete seen[shard];
    subscribe("executions");
  } else {
    const ended = message.problem?.code === "not_authenticated";
    const words = ended ? "Your session has ended. Sign in again." : message.problem?.detail;
    notice(words ?? "The feed refused a subscription.", { refusal: true });
  }
}

feed.addEventListener("open", () => {
  book.clear();
  tape.pause();
  market.forget();
  subscribe("book");
  subscribe("trades");
  subscribe("instruments");
  if (signedIn) {
    subscribe("executions");
    own.readSoon();
  }
  market.read();
});

feed.addEventListener("message", ({ detail: message }) => {
  if (message.channel === "book" && message.symbol === rules.symbol) takeBook(message);
  else if (message.channel === "trades" && message.symbol === rules.symbol) takeTrades(message);
  else if (message.channel === "instruments" && message.symbol === rules.symbol) market.take(message);
  else if (message.channel === "executions") takeExecutions(message);
  else if (message.ok === false) takeRefusal(message);
});

// The badge

const NAMES = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", stale: "Stale" };

feed.addEventListener("state", ({ detail: { state, changed } }) => {
  if (changed) {
    setData(byId("badge"), "state", state);
    setData(document.body, "feed", state);
    setText(byId("badge-state"), NAMES[state]);
  }
  const seconds = feed.age === null ? null : Math.floor(feed.age);
  let age = "";
  if (seconds !== null) age = state === "live" ? `${seconds} s ago` : `no data for ${seconds} s`;
  setText(byId("badge-age"), age);
});

// The instrument picker closes like a menu

document.addEventListener("click", (event) => byId("picker").contains(event.target) || (byId("picker").open = false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && byId("picker").open) {
    byId("picker").open = false;
    byId("picker").querySelector("summary").focus();
  }
});

drawOwn();
feed.start();
