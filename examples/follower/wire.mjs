// @ts-check
/** @import { Socket } from 'node:net' */
/** @import { Change, Update } from 'lodestore' */

/**
 * The protocol of the two processes. A message is `u32 length - u8 kind - body`, little-endian; the
 * length counts kind and body.
 *
 * From the follower: `follow` with its position (u64), or `fetch` for a backup. From the leader:
 * `change` (u64 sequence, then updates as `u64 key - u64 value - u32 dataLength - data`; value 0 is
 * a delete, with 8 bytes of data of all keys up to the u64 there); `expired` if the position cannot
 * be followed; `file` (a name) and `piece` (its bytes) of a backup, then `done`.
 */
export const KIND = {
  follow: 1,
  fetch: 2,
  change: 3,
  expired: 4,
  file: 5,
  piece: 6,
  done: 7,
};

const HEAD_BYTES = 5;
const UPDATE_BYTES = 20;
const NO_DATA = new Uint8Array();
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/**
 * @param {number} kind
 * @param {Uint8Array} [body]
 */
export function messageOf(kind, body = new Uint8Array()) {
  const message = Buffer.alloc(HEAD_BYTES + body.length);
  message.writeUInt32LE(1 + body.length, 0);
  message.writeUInt8(kind, 4);
  message.set(body, HEAD_BYTES);
  return message;
}

/** @param {bigint} position */
export function positionBody(position) {
  const body = Buffer.alloc(8);
  body.writeBigUInt64LE(position);
  return body;
}

/**
 * Messages in batches: all that have arrived completely.
 * @param {Socket} socket
 * @returns {AsyncGenerator<{ kind: number, body: Buffer }[], void, void>}
 */
export async function* messagesOf(socket) {
  /** @type {Buffer[]} */
  let pieces = [];
  let bytes = 0;
  let wanted = HEAD_BYTES;
  for await (const piece of socket) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < wanted) continue;
    const buffer = Buffer.concat(pieces);
    const messages = [];
    let at = 0;
    for (;;) {
      wanted = HEAD_BYTES;
      if (buffer.length - at < HEAD_BYTES) break;
      const length = buffer.readUInt32LE(at);
      if (length < 1 || length > MAX_MESSAGE_BYTES) throw new Error('this is not our protocol');
      wanted = 4 + length;
      if (buffer.length - at < wanted) break;
      const body = buffer.subarray(at + HEAD_BYTES, at + wanted);
      messages.push({ kind: buffer.readUInt8(at + 4), body });
      at += wanted;
    }
    pieces = [buffer.subarray(at)];
    bytes = buffer.length - at;
    yield messages;
  }
}

/** @param {Change} change */
export function changeBody(change) {
  const body = Buffer.alloc(8 + change.byteLength);
  body.writeBigUInt64LE(change.sequence, 0);
  let at = 8;
  for (const update of change.updates) {
    const isRange = update.type === 'deleteRange';
    const data = isRange ? positionBody(update.lte) : update.type === 'put' ? update.data : NO_DATA;
    body.writeBigUInt64LE(isRange ? update.gte : update.key, at);
    body.writeBigUInt64LE(update.type === 'put' ? update.value : 0n, at + 8);
    body.writeUInt32LE(data.length, at + 16);
    body.set(data, at + UPDATE_BYTES);
    at += UPDATE_BYTES + data.length;
  }
  return body;
}

/**
 * @param {Buffer} body
 * @returns {{ sequence: bigint, updates: Update[] }}
 */
export function changeFrom(body) {
  /** @type {Update[]} */
  const updates = [];
  for (let at = 8; at < body.length;) {
    const key = body.readBigUInt64LE(at);
    const value = body.readBigUInt64LE(at + 8);
    const end = at + UPDATE_BYTES + body.readUInt32LE(at + 16);
    const data = body.subarray(at + UPDATE_BYTES, end);
    if (value !== 0n) updates.push({ type: 'put', key, value, data });
    else if (data.length === 0) updates.push({ type: 'del', key });
    else updates.push({ type: 'deleteRange', gte: key, lte: data.readBigUInt64LE() });
    at = end;
  }
  return { sequence: body.readBigUInt64LE(0), updates };
}
