// @ts-check
import { parseArgs } from 'node:util';
import { MAX_FURTHER_EXTENTS } from './object-record.mjs';
import { GATHER_BYTES } from './upload.mjs';

/**
 * @typedef {object} Settings
 * @property {string} data
 * @property {string} host
 * @property {number} port
 * @property {number} volumeBytes
 * @property {number} maxObjectBytes
 * @property {number} maxUploads
 */

const GIB = 1024 ** 3;

/** Flag, environment variable, default, and for numbers their bounds. */
const OPTIONS = [
  { flag: 'data', variable: 'STORAGE_NODE_DATA', fallback: './data' },
  { flag: 'host', variable: 'STORAGE_NODE_HOST', fallback: '127.0.0.1' },
  { flag: 'port', variable: 'STORAGE_NODE_PORT', fallback: '8080', min: 0, max: 65_535 },
  {
    flag: 'volume-bytes',
    variable: 'STORAGE_NODE_VOLUME_BYTES',
    fallback: String(4 * GIB),
    min: 1,
    // Offsets have 40 bits in a record, and appends under way may go beyond the target.
    max: 512 * GIB,
  },
  {
    flag: 'max-object-bytes',
    variable: 'STORAGE_NODE_MAX_OBJECT_BYTES',
    fallback: String(5 * GIB),
    min: 1,
    // At worst every gathered piece is an extent of its own.
    max: MAX_FURTHER_EXTENTS * GATHER_BYTES,
  },
  { flag: 'max-uploads', variable: 'STORAGE_NODE_MAX_UPLOADS', fallback: '256', min: 1, max: 4096 },
];

export const USAGE = [
  'usage: node main.mjs [options]',
  ...OPTIONS.map(
    ({ flag, variable, fallback }) => `  --${flag} (${variable}), default ${fallback}`,
  ),
].join('\n');

/**
 * Flags win over the environment, the environment over defaults.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Settings | 'help'}
 * @throws {Error} that says what is wrong with which option
 */
export function readSettings(args, environment) {
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const options = { help: { type: 'boolean' } };
  for (const { flag } of OPTIONS) options[flag] = { type: 'string' };
  const { values } = parseArgs({ args, options });
  if (values['help'] === true) return 'help';
  /** @param {string} flag */
  const text = (flag) => {
    const option = OPTIONS.find((candidate) => candidate.flag === flag);
    return String(values[flag] ?? environment[option?.variable ?? ''] ?? option?.fallback);
  };
  /** @param {string} flag */
  const number = (flag) => {
    const { min = 0, max = 0 } = OPTIONS.find((candidate) => candidate.flag === flag) ?? {};
    const value = Number(text(flag));
    if (/^\d+$/.test(text(flag)) && value >= min && value <= max) return value;
    throw new Error(`--${flag} must be an integer from ${min} to ${max}, not '${text(flag)}'`);
  };
  return {
    data: text('data'),
    host: text('host'),
    port: number('port'),
    volumeBytes: number('volume-bytes'),
    maxObjectBytes: number('max-object-bytes'),
    maxUploads: number('max-uploads'),
  };
}
