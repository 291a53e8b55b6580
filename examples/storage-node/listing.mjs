// @ts-check
import { RequestFailure } from './failure.mjs';

/** @import { ObjectStore } from './object-store.mjs' */

const MAX_LIMIT = 1_000;

/**
 * What `GET /?prefix=&limit=&after=` answers: a page of objects, and in `next` the `after` of the
 * page that follows, null at the end.
 * @param {ObjectStore} objects
 * @param {string} query
 * @throws {RequestFailure} 400
 */
export function listingOf(objects, query) {
  const parameters = new URLSearchParams(query);
  const page = objects.page({
    prefix: parameters.get('prefix') ?? '',
    limit: limitOf(parameters.get('limit')),
    after: cursorOf(parameters.get('after')),
  });
  return {
    objects: page.objects.map((object) => ({
      name: object.name,
      lengthBytes: object.lengthBytes,
      sha256: Buffer.from(object.sha256).toString('hex'),
      contentType: object.contentType,
      createdAt: new Date(object.createdMs).toISOString(),
    })),
    next: page.next?.toString(16).padStart(16, '0') ?? null,
  };
}

/** @param {string | null} text */
function limitOf(text) {
  if (text === null || text === '') return MAX_LIMIT;
  if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_LIMIT) return Number(text);
  throw new RequestFailure(400, 'bad-limit', `limit must be 1 to ${MAX_LIMIT}`);
}

/** @param {string | null} text */
function cursorOf(text) {
  if (text === null || text === '') return undefined;
  if (/^[0-9a-f]{16}$/.test(text)) return BigInt(`0x${text}`);
  throw new RequestFailure(400, 'bad-cursor', "after must be the 'next' of another page");
}
