// Exact decimal numbers: strings on the wire, BigInt in units of 10^-decimals in between, floating point nowhere.

// What the service accepts: ASCII digits, at most 15 before and 12 after the point.
const PATTERN = /^[0-9]{1,15}(\.[0-9]{1,12})?$/;

/** The units of a decimal string, or null where it is none or has more decimals than the units can hold. */
export function toUnits(text, decimals) {
  if (!PATTERN.test(text)) return null;
  const [whole, fraction = ""] = text.split(".");
  const kept = fraction.replace(/0+$/, "");
  if (kept.length > decimals) return null;
  return BigInt(whole + kept.padEnd(decimals, "0"));
}

/** A decimal string with exactly `decimals` decimals: fromUnits(10025n, 3) is "10.025". */
export function fromUnits(units, decimals) {
  const sign = units < 0n ? "-" : "";
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  if (!decimals) return sign + digits;
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** With thin separators between thousands, for reading only: grouped("1234567.50") is "1,234,567.50". */
export function grouped(text) {
  const [whole, fraction] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}

/** The order of two decimal strings that have the same number of decimals and no leading zeros: -1, 0 or 1. */
export function compare(one, other) {
  if (one.length !== other.length) return one.length < other.length ? -1 : 1;
  return one < other ? -1 : one > other ? 1 : 0;
}

export function isZero(text) {
  return /^[0.]*$/.test(text);
}
