// CRC-32 as zlib, gzip and Ethernet have it (polynomial 0xEDB88320, reflected).

const TABLE = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The unsigned CRC-32 of an ASCII string. */
export function crc32(text) {
  let value = 0xffffffff;
  for (let index = 0; index < text.length; index += 1) {
    value = TABLE[(value ^ text.charCodeAt(index)) & 0xff] ^ (value >>> 8);
  }
  return (value ^ 0xffffffff) >>> 0;
}
