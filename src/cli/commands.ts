import { Option } from 'commander';
import { MAX_BATCH_BYTES, ROW_HEADER_BYTES } from '../base/limits.ts';
import {
  parseBoundedCount,
  parseKey,
  parseKeyspace,
  parseLimit,
  parseSequence,
} from './arguments.ts';
import { backup } from './backup.ts';
import { capacity, MAX_RECORDS } from './capacity.ts';
import { dump } from './dump.ts';
import { explain } from './explain.ts';
import { exportRecords } from './export.ts';
import { hash } from './hash.ts';
import { importRecords, STDIN } from './import.ts';
import { inspect } from './inspect.ts';
import { mergeStore } from './merge.ts';
import {
  EXIT_DAMAGE,
  EXIT_INTERNAL,
  EXIT_INTERRUPTED,
  EXIT_IO,
  EXIT_LOCKED,
  EXIT_OK,
  EXIT_USAGE,
} from './output/exit-code.ts';
import { parsePath } from './output/path-argument.ts';
import { REPLICATE } from './replicate/replicate-commands.ts';
import { restoreStore } from './restore.ts';
import { salvage } from './salvage.ts';
import { stats } from './stats.ts';
import { tail } from './tail.ts';
import type { CliCommand } from './output/cli-command.ts';
import { verify } from './verify.ts';

const READ: Readonly<Record<string, string>> = {
  directory: 'directory of the store; another process may have it open',
};
const CLOSED: Readonly<Record<string, string>> = {
  directory: 'directory of the store; no other process may have it open',
};

const ALWAYS = [EXIT_OK, EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED];
const READING = [...ALWAYS, EXIT_DAMAGE, EXIT_IO];
const LOCKING = [...READING, EXIT_LOCKED];

function json(description = 'print one JSON object'): Option {
  return new Option('--json', description);
}

const KEYSPACE: Option = new Option(
  '--keyspace <prefix/bits>',
  'only keys whose highest bits are the prefix; keys are those without it',
).argParser(parseKeyspace);

const DATA = 'print the data too, in hexadecimal';

function format(of: string): Option {
  const formats = ['jsonl', 'csv', 'ancestor'];
  return new Option('--format <format>', of).choices(formats).default('jsonl');
}

const READERS: readonly CliCommand[] = [
  {
    name: 'inspect',
    summary: 'Shows files, frames and sequence numbers, and what opening would do.',
    example: 'inspect --frames /srv/objects/meta',
    arguments: READ,
    options: [json(), new Option('--frames', 'list every frame')],
    exitCodes: READING,
    run: inspect,
  },
  {
    name: 'verify',
    summary: 'Reads every file and compares every checksum.',
    example: 'verify /srv/objects/meta && echo sound',
    arguments: READ,
    options: [json()],
    exitCodes: READING,
    run: verify,
  },
  {
    name: 'dump',
    summary: 'Prints one record per line: key, value, length of the data.',
    example: 'dump --gte 1000 --limit 20 --data /srv/objects/meta',
    arguments: READ,
    options: [
      new Option('--data', DATA),
      json('print one JSON object per line; keys and values are strings'),
      new Option('--gte <key>', 'from this key on').argParser(parseKey),
      new Option('--lte <key>', 'up to this key').argParser(parseKey),
      new Option('--limit <count>', 'maximum number of records').argParser(parseLimit),
      new Option('--reverse', 'from the greatest key down'),
      KEYSPACE,
      new Option('--count', 'print only the number of records').conflicts([
        'data',
        'limit',
        'reverse',
        'damaged',
      ]),
      new Option('--damaged', 'print what verifies of a damaged store').conflicts('keyspace'),
    ],
    exitCodes: READING,
    run: dump,
  },
  {
    name: 'hash',
    summary: 'Prints a hash of all records; equal records have equal hashes.',
    example: 'hash /srv/objects/meta',
    arguments: READ,
    options: [json(), KEYSPACE],
    exitCodes: READING,
    run: hash,
  },
  {
    name: 'tail',
    summary: 'Prints the committed batches in the logs, one update per line.',
    example: 'tail --follow --after 4711 /srv/objects/meta',
    arguments: READ,
    options: [
      new Option(
        '--after <sequence>',
        'start after this sequence number; 0: with the first batch',
      ).argParser(parseSequence),
      new Option('--follow', 'continue as batches are committed, until Ctrl-C'),
      new Option('--data', DATA),
      json('print one JSON object per batch; numbers of 64 bits are strings'),
    ],
    exitCodes: READING,
    run: tail,
  },
  {
    name: 'stats',
    summary: 'Prints the number of records, bytes and logs, and whether a merge is due.',
    example: 'stats /srv/objects/meta',
    arguments: READ,
    options: [json()],
    exitCodes: READING,
    run: stats,
  },
  {
    name: 'explain',
    summary: 'Says whether the store opens, why not, what would be lost, and what to run next.',
    example: 'explain /srv/objects/meta',
    arguments: READ,
    options: [json()],
    exitCodes: LOCKING,
    run: explain,
  },
  {
    name: 'capacity',
    summary: 'Estimates disk, memory and time to open for a number of records.',
    example: 'capacity --records 10000000 --data-bytes 16 --ascending',
    arguments: {},
    options: [
      new Option('--records <count>', 'how many records')
        .argParser(parseBoundedCount(MAX_RECORDS))
        .makeOptionMandatory(),
      new Option('--data-bytes <bytes>', 'data of a record, on average')
        .argParser(parseBoundedCount(MAX_BATCH_BYTES - ROW_HEADER_BYTES))
        .makeOptionMandatory(),
      new Option('--ascending', 'ids are ascending; default: random'),
      json(),
    ],
    exitCodes: ALWAYS,
    run: capacity,
  },
];

const WRITERS: readonly CliCommand[] = [
  {
    name: 'salvage',
    summary: 'Writes what verifies of a damaged store to a new directory. Only reads the source.',
    example: 'salvage /srv/objects/meta /srv/objects/meta-salvaged',
    arguments: { ...CLOSED, target: 'directory to write; must not exist, or be empty' },
    options: [
      new Option('--skip-unreadable', 'skip files that the system cannot read'),
      json('print the loss report as one JSON object'),
    ],
    exitCodes: LOCKING,
    run: salvage,
  },
  {
    name: 'merge',
    summary: 'Opens the store and merges its logs into a new snapshot.',
    example: 'merge /srv/objects/meta',
    arguments: CLOSED,
    options: [json()],
    exitCodes: LOCKING,
    run: mergeStore,
  },
  {
    name: 'export',
    summary: 'Writes all records with their data as text, or as a directory of the ancestor.',
    example: 'export --format csv --out meta.csv /srv/objects/meta',
    arguments: READ,
    options: [
      format('of the output'),
      new Option(
        '--out <path>',
        'file, or for the ancestor a new directory; default: stdout',
      ).argParser(parsePath),
      new Option('--hex', 'data in hexadecimal, not base64'),
      json('print what was exported as one JSON object; needs --out'),
    ],
    exitCodes: READING,
    run: exportRecords,
  },
  {
    name: 'import',
    summary: 'Puts the records of a file, or of a directory of the ancestor, into a store.',
    example: 'import --format csv --in meta.csv /srv/objects/meta',
    arguments: {
      directory: 'directory of the store, new or existing; no other process may have it open',
    },
    options: [
      format('of the input'),
      new Option('--in <path>', 'file, or directory of the ancestor; - is stdin')
        .argParser(parsePath)
        .default(STDIN),
      new Option('--dry-run', 'only check the input'),
      json(),
    ],
    exitCodes: LOCKING,
    run: importRecords,
  },
  {
    name: 'backup',
    summary: 'Copies a store to a new directory, whether or not it is open.',
    example: 'backup /srv/objects/meta /backup/meta-monday',
    arguments: {
      ...READ,
      target: 'directory of the backup; must not exist, or be empty',
    },
    options: [
      new Option(
        '--incremental <previous>',
        'hard-link unchanged files from this earlier backup',
      ).argParser(parsePath),
      new Option('--verify', 'open the finished copy and read every record'),
      json(),
    ],
    exitCodes: LOCKING,
    run: backup,
  },
  {
    name: 'restore',
    summary: 'Restores a store from a backup and compares every checksum.',
    example: 'restore /backup/meta-monday /srv/objects/meta',
    arguments: {
      backup: 'directory of the backup; only read',
      directory: 'directory of the store; must not exist, or be empty',
    },
    options: [json()],
    exitCodes: LOCKING,
    run: restoreStore,
  },
];

/** All commands, in the order of the help text. */
export const COMMANDS: readonly CliCommand[] = [...READERS, ...WRITERS, ...REPLICATE];
