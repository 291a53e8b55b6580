import { Option } from 'commander';
import {
  EXIT_DAMAGE,
  EXIT_INTERNAL,
  EXIT_INTERRUPTED,
  EXIT_IO,
  EXIT_LOCKED,
  EXIT_OK,
  EXIT_USAGE,
} from '../output/exit-code.ts';
import type { CliCommand } from '../output/cli-command.ts';
import { parsePath } from '../output/path-argument.ts';
import { parseEngine } from './engine-address.ts';
import { replicateDoctor } from './replicate-doctor.ts';
import { replicateCheckpoint, replicatePromote } from './replicate-node.ts';
import { replicateRepair } from './replicate-repair.ts';
import { replicateStatus } from './replicate-status.ts';

const NODE: Readonly<Record<string, string>> = {
  directory: 'directory of the node; no other process may have it open',
};

const ASKING = [EXIT_OK, EXIT_USAGE, EXIT_IO, EXIT_INTERNAL, EXIT_INTERRUPTED];
const OPENING = [...ASKING, EXIT_DAMAGE, EXIT_LOCKED];

function options(checkpoints: 'optional' | 'mandatory' = 'optional'): Option[] {
  return [
    new Option(
      '--engine <address>',
      'etcd://…, nats://… or postgres://…; hosts separated by commas',
    )
      .env('LODESTORE_ENGINE')
      .argParser(parseEngine)
      .makeOptionMandatory(),
    new Option('--log <name>', 'name of the log; each shard has its own').makeOptionMandatory(),
    new Option('--checkpoints <directory>', 'directory of the checkpoints')
      .argParser(parsePath)
      .makeOptionMandatory(checkpoints === 'mandatory'),
    new Option('--json', 'print one JSON object'),
  ];
}

const EXAMPLE = '--engine etcd://a:2379,b:2379,c:2379 --log shard-1';

/** Commands about replicated stores. */
export const REPLICATE: readonly CliCommand[] = [
  {
    name: 'replicate status',
    summary: 'Prints the positions in a log, and its checkpoints.',
    example: `replicate status ${EXAMPLE}`,
    arguments: {},
    options: options(),
    exitCodes: ASKING,
    run: replicateStatus,
  },
  {
    name: 'replicate doctor',
    summary: 'Checks the engine, the log, the checkpoints and a node, and says what to do.',
    example: `replicate doctor ${EXAMPLE} --checkpoints /mnt/checkpoints/shard-1 --node /srv/meta/shard-1`,
    arguments: {},
    options: [
      ...options(),
      new Option('--node <directory>', 'directory of a node, to compare with the log').argParser(
        parsePath,
      ),
    ],
    exitCodes: [...ASKING, EXIT_DAMAGE],
    run: replicateDoctor,
  },
  {
    name: 'replicate promote',
    summary: 'Makes the node of a directory the primary, which fences the previous one.',
    example: `replicate promote ${EXAMPLE} /srv/meta/shard-1`,
    arguments: NODE,
    options: options(),
    exitCodes: OPENING,
    run: replicatePromote,
  },
  {
    name: 'replicate checkpoint',
    summary: 'Opens the node of a directory, applies the log to its end, and writes a checkpoint.',
    example: `replicate checkpoint ${EXAMPLE} --checkpoints /mnt/checkpoints/shard-1 /srv/meta/shard-1`,
    arguments: NODE,
    options: options('mandatory'),
    exitCodes: OPENING,
    run: replicateCheckpoint,
  },
  {
    name: 'replicate repair',
    summary: 'Continues a log that lost acknowledged batches from the state of this node.',
    example: `replicate repair ${EXAMPLE} --checkpoints /mnt/checkpoints/shard-1 /srv/meta/shard-1`,
    arguments: NODE,
    options: options('mandatory'),
    exitCodes: OPENING,
    run: replicateRepair,
  },
];
