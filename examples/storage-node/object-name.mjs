// @ts-check
import { RequestFailure } from './failure.mjs';

const MAX_NAME_BYTES = 1024;

/**
 * The name in a path `/objects/<name>`, or undefined for another path.
 * @param {string} path the request's, still percent-encoded and without its query
 * @throws {RequestFailure} 400
 */
export function objectNameOf(path) {
  const prefix = '/objects/';
  if (!path.startsWith(prefix)) return undefined;
  const name = decodePercent(path.slice(prefix.length));
  const lengthBytes = Buffer.byteLength(name);
  if (lengthBytes === 0 || lengthBytes > MAX_NAME_BYTES) {
    throw badName(`it must have 1 to ${MAX_NAME_BYTES} bytes`);
  }
  if (name.includes('\0')) throw badName('it must not hold NUL');
  // URL parsers resolve these away, so such an object could be stored and never be asked for.
  if (name.split('/').some((segment) => segment === '.' || segment === '..')) {
    throw badName("it must not have segments '.' and '..'");
  }
  return name;
}

/** @param {string} text */
function decodePercent(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badName('its percent-encoding is not UTF-8');
  }
}

/** @param {string} reason */
function badName(reason) {
  return new RequestFailure(400, 'bad-name', `not a valid object name: ${reason}`);
}
