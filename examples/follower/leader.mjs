// @ts-check
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PositionExpiredError } from 'lodestore';
import { changeBody, KIND, messageOf, messagesOf } from './wire.mjs';

/** @import { Server, Socket } from 'node:net' */
/** @import { MetadataStore } from 'lodestore' */

/**
 * Serves the changes of a store, and backups of it, to any number of followers. It keeps no state
 * about them: a follower sends its position, and the changes come from the log files.
 * @param {MetadataStore} store
 * @param {string} scratch where backups are made: a directory's path to which something is appended
 * @param {(line: string) => void} log
 * @returns {Server}
 */
export function serveChanges(store, scratch, log) {
  return createServer((socket) => {
    // A follower that disconnected reconnects by itself.
    socket.on('error', () => undefined);
    serve(store, socket, scratch, log)
      .catch((error) => socket.destroyed || log(`a follower was disconnected: ${error.message}`))
      .finally(() => socket.destroy());
  });
}

/**
 * @param {MetadataStore} store
 * @param {Socket} socket
 * @param {string} scratch
 * @param {(line: string) => void} log
 */
async function serve(store, socket, scratch, log) {
  for await (const messages of messagesOf(socket)) {
    for (const { kind, body } of messages) {
      if (kind === KIND.fetch) await sendBackup(store, socket, scratch, log);
      // Awaited here, because leaving the loop closes the connection.
      else if (kind === KIND.follow) await sendChanges(store, socket, body.readBigUInt64LE(), log);
    }
  }
}

/**
 * @param {Socket} socket
 * @param {Uint8Array} message
 */
async function send(socket, message) {
  if (socket.destroyed) throw new Error('the connection is gone');
  if (socket.write(message)) return;
  const waiting = new AbortController();
  const { signal } = waiting;
  try {
    await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]);
  } finally {
    // Removes the listeners of the other event.
    waiting.abort();
  }
}

/**
 * @param {MetadataStore} store
 * @param {Socket} socket
 * @param {bigint} after
 * @param {(line: string) => void} log
 */
async function sendChanges(store, socket, after, log) {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  try {
    for await (const change of store.changes({ after, signal: gone.signal })) {
      await send(socket, messageOf(KIND.change, changeBody(change)));
    }
  } catch (error) {
    if (gone.signal.aborted) return;
    if (!(error instanceof PositionExpiredError)) throw error;
    log(`position ${after} has expired`);
    await send(socket, messageOf(KIND.expired));
    socket.end();
    await once(socket, 'close');
  }
}

/**
 * @param {MetadataStore} store
 * @param {Socket} socket
 * @param {string} scratch
 * @param {(line: string) => void} log
 */
async function sendBackup(store, socket, scratch, log) {
  const parent = await mkdtemp(scratch);
  try {
    const target = join(parent, 'backup');
    const { lastSequence, bytes } = await store.backup(target);
    log(`sending a backup up to batch ${lastSequence}, ${bytes} bytes`);
    for (const name of await readdir(target)) {
      await send(socket, messageOf(KIND.file, Buffer.from(name)));
      for await (const piece of createReadStream(join(target, name))) {
        await send(socket, messageOf(KIND.piece, piece));
      }
    }
    await send(socket, messageOf(KIND.done));
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
