// REST with the session: requests that end, problems as words, and retries that cannot do anything twice.

// A little longer than the server itself waits for its engine.
const TIMEOUT_MS = 12_000;
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 5_000;
// With the waits between them, about a minute.
const ATTEMPTS = 12;

const csrfToken = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** The service's answer that something is wrong (RFC 9457). */
export class Problem extends Error {
  constructor(status, body, retryAfterSeconds) {
    super(inWords(status, body));
    this.status = status;
    this.code = body.code ?? "";
    this.errors = body.errors ?? [];
    this.retryable = body.retryable ?? status >= 502;
    this.outcome = body.outcome ?? "unknown";
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer: what was asked for may or may not have happened. */
export class NoAnswer extends Error {
  constructor() {
    super("The server did not answer.");
    this.retryable = true;
    this.outcome = "unknown";
    this.retryAfterSeconds = 0;
  }
}

function inWords(status, body) {
  if (body.code === "not_authenticated") return "Your session has ended. Sign in again.";
  const more = (body.errors ?? []).slice(1).map((error) => `${error.field}: ${error.message}`);
  return [body.detail || body.title || `The server answered ${status}.`, ...more].join(" ");
}

/** One request. Answers {status, body, replayed}; throws Problem or NoAnswer. */
export async function request(method, path, body) {
  const headers = { Accept: "application/json, application/problem+json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response, text;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch {
    throw new NoAnswer();
  }
  const parsed = parse(text);
  if (!response.ok) throw new Problem(response.status, parsed ?? {}, Number(response.headers.get("Retry-After")) || 0);
  if (parsed === null) throw new NoAnswer();
  return { status: response.status, body: parsed, replayed: response.headers.get("Idempotency-Replayed") === "true" };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Try until there is an answer that is final. Only for what may safely be sent twice.
 *  `onRetry(attempt, error)` hears of each further try; `signal` ends the waiting. */
export async function retrying(send, { onRetry = () => {}, signal, attempts = ATTEMPTS } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send(attempt);
    } catch (error) {
      if (!error.retryable || attempt >= attempts || signal?.aborted) throw error;
      onRetry(attempt + 1, error);
      const wait = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
      await pause(Math.max(wait, error.retryAfterSeconds * 1000), signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
