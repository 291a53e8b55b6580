import { parseArgs } from 'node:util';
import { DEFAULTS, type CampaignOptions } from './campaign.ts';
import { FAULTY_FILE_SYSTEMS } from './faulty-file-systems.ts';

export interface Arguments extends Partial<CampaignOptions> {
  /** Whether every call of the fixed programs fails in turn, and in which form. */
  readonly calls: 'none' | 'short' | 'long';
}

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`--${name} must be a number`);
  return value;
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw new RangeError(`--${name} is one of: ${allowed.join(', ')}`);
  return found;
}

/** Parses the options of `npm run test:crash`. Without any limit, it runs for one minute. */
export function readArguments(texts: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...texts],
    options: {
      seed: { type: 'string' },
      programs: { type: 'string' },
      states: { type: 'string' },
      minutes: { type: 'string' },
      cap: { type: 'string' },
      byte: { type: 'boolean' },
      depth: { type: 'string' },
      calls: { type: 'string' },
      fault: { type: 'string' },
      durability: { type: 'string' },
      commits: { type: 'string' },
      'no-shrink': { type: 'boolean' },
    },
  });
  const programs = whole('programs', values.programs);
  const states = whole('states', values.states);
  const minutes = whole('minutes', values.minutes);
  const hasEnd = programs !== undefined || states !== undefined || minutes !== undefined;
  const fault =
    values.fault === undefined
      ? undefined
      : oneOf('fault', values.fault, Object.keys(FAULTY_FILE_SYSTEMS));
  return {
    calls: oneOf('calls', values.calls ?? 'none', ['none', 'short', 'long']),
    makeFaulty: fault === undefined ? undefined : FAULTY_FILE_SYSTEMS[fault],
    durability: oneOf('durability', values.durability ?? 'sync', ['sync', 'deferred'] as const),
    commits: oneOf('commits', values.commits ?? 'background', ['background', 'inline'] as const),
    shrinks: values['no-shrink'] !== true,
    seed: whole('seed', values.seed) ?? DEFAULTS.seed,
    programs: programs ?? Infinity,
    states: states ?? Infinity,
    minutes: minutes ?? (hasEnd ? Infinity : 1),
    cap: whole('cap', values.cap) ?? DEFAULTS.cap,
    tear: values.byte === true ? 'byte' : 'sector',
    checker: {
      ...DEFAULTS.checker,
      nestedDepth: whole('depth', values.depth) ?? DEFAULTS.checker.nestedDepth,
    },
  };
}
