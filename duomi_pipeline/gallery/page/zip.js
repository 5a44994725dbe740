// A zip of stored entries, as pictures do not get smaller. Our own: libraries are modules, which pages from disk cannot load.
// Format: APPNOTE.TXT of PKWARE, 4.3; names are UTF-8 (bit 11), no zip64.
"use strict";

(() => {
  const LIMIT = 0xffff_ffff; // bytes of a zip without zip64
  const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });

  function crc32(bytes) {
    let value = 0xffff_ffff;
    for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 0xff];
    return (value ^ 0xffff_ffff) >>> 0;
  }

  /** Little-endian numbers, each as [bytes, value]. */
  function packed(...numbers) {
    const view = new DataView(new ArrayBuffer(numbers.reduce((sum, [width]) => sum + width, 0)));
    let at = 0;
    for (const [width, value] of numbers) {
      if (width === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      at += width;
    }
    return view.buffer;
  }

  function moment(milliseconds) {
    const date = new Date(Math.max(milliseconds, Date.UTC(1980, 0, 2)));
    const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
    return [[2, time], [2, ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()]];
  }

  /** A zip of `{name, blob, at}`, `at` in seconds since 1970. One file at a time is in memory. Fails above 4 GB or 65,535 files. */
  duomi.zip = async (entries) => {
    const parts = [];
    const directory = [];
    let offset = 0;
    for await (const { name, blob, at } of entries) {
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const encoded = new TextEncoder().encode(name);
      const about = [[2, 20], [2, 0x0800], [2, 0], ...moment(at * 1000), [4, crc32(bytes)], [4, bytes.length], [4, bytes.length],
        [2, encoded.length], [2, 0]];
      directory.push(packed([4, 0x02014b50], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), encoded);
      parts.push(packed([4, 0x04034b50], ...about), encoded, new Blob([bytes]));
      offset += 30 + encoded.length + bytes.length;
      if (offset > LIMIT || directory.length / 2 > 0xffff) throw new RangeError("more than a zip holds (4 GB): pick fewer");
    }
    const count = directory.length / 2;
    const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
    const end = packed([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
    return new Blob([...parts, ...directory, end], { type: "application/zip" });
  };
})();
