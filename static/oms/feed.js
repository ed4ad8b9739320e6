// The WebSocket: stays connected, subscribes again after every reconnection, knows how old the data is.
//
// States, as the badge shows them: "connecting" before the first message, "live", "reconnecting" while there is no
// connection, and "stale" once nothing was heard for STALE_SECONDS, connected or not. The server says something every
// 5 seconds at least, so silence means that what is on the screen may be wrong.

export const STALE_SECONDS = 10;
// A connection that does not open within this time is given up and tried again.
const OPEN_SECONDS = 6;
// The server closes a client that says nothing for 30 s.
const PING_SECONDS = 15;
// Waits between attempts double from the first to the last, each shortened by chance so that a thousand browsers do not
// come back in the same instant.
const FIRST_WAIT_SECONDS = 0.4;
const LAST_WAIT_SECONDS = 8;
const TICK_MS = 250;

/** Events: "message" (detail: the parsed message), "open" (send the subscriptions now), "state" (detail: the state). */
export class Feed extends EventTarget {
  #socket = null;
  #openedAt = 0;
  #heardAt = null;
  #pingedAt = 0;
  #failures = 0;
  #retryAt = 0;
  #state = "connecting";
  #fresh = false; // whether this connection has said anything
  #nextId = 1;

  constructor(url) {
    super();
    this.url = url;
  }

  start() {
    this.#connect();
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#drop());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get state() {
    return this.#state;
  }

  /** Seconds since the last message, null before the first. */
  get age() {
    return this.#heardAt === null ? null : (performance.now() - this.#heardAt) / 1000;
  }

  /** Send an operation where there is a connection; answers its id, or null. */
  send(operation) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return null;
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ ...operation, id }));
    return id;
  }

  #connect() {
    this.#openedAt = performance.now();
    this.#fresh = false;
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => this.#socket === socket && this.#opened();
    socket.onmessage = (event) => this.#socket === socket && this.#heard(event.data);
    socket.onclose = () => this.#socket === socket && this.#closed();
  }

  #opened() {
    this.#pingedAt = performance.now();
    this.dispatchEvent(new Event("open"));
  }

  #heard(text) {
    this.#heardAt = performance.now();
    this.#fresh = true;
    this.#failures = 0;
    this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(text) }));
    this.#show();
  }

  #closed() {
    this.#socket = null;
    const ceiling = Math.min(LAST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retryAt = performance.now() + ceiling * (0.5 + Math.random() / 2) * 1000;
    this.#show();
  }

  /** Give the connection up without waiting for the other side, which may be the one that hangs. */
  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    this.#closed();
    socket.close();
  }

  #hurry() {
    if (!this.#socket) this.#retryAt = 0;
    this.#tick();
  }

  #tick() {
    const now = performance.now();
    if (!this.#socket) {
      if (now >= this.#retryAt) this.#connect();
    } else if (this.#socket.readyState !== WebSocket.OPEN) {
      if (now - this.#openedAt > OPEN_SECONDS * 1000) this.#drop();
    } else if (now - Math.max(this.#heardAt ?? 0, this.#openedAt) > STALE_SECONDS * 1000) {
      this.#drop();
    } else if (now - this.#pingedAt > PING_SECONDS * 1000) {
      this.#pingedAt = now;
      this.send({ op: "ping" });
    }
    this.#show();
  }

  #show() {
    let state = "live";
    if (this.age === null) state = this.#failures ? "reconnecting" : "connecting";
    else if (this.age > STALE_SECONDS) state = "stale";
    else if (!this.#socket || !this.#fresh) state = "reconnecting";
    const changed = state !== this.#state;
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, changed } }));
  }
}
