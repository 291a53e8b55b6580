import { parseArgs } from 'node:util';
import { DEFAULTS, type CampaignOptions } from './campaign.ts';

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`--${name} must be a number`);
  return value;
}

/** Options of `npm run test:crash`. Without any end given, one minute. */
export function readArguments(texts: readonly string[]): Partial<CampaignOptions> {
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
    },
  });
  const programs = whole('programs', values.programs);
  const states = whole('states', values.states);
  const minutes = whole('minutes', values.minutes);
  const hasEnd = programs !== undefined || states !== undefined || minutes !== undefined;
  return {
    seed: whole('seed', values.seed) ?? DEFAULTS.seed,
    programs: programs ?? Infinity,
    states: states ?? Infinity,
    minutes: minutes ?? (hasEnd ? Infinity : 1),
    cap: whole('cap', values.cap) ?? DEFAULTS.cap,
    tear: values.byte === true ? 'byte' : 'sector',
    judge: {
      ...DEFAULTS.judge,
      nestedDepth: whole('depth', values.depth) ?? DEFAULTS.judge.nestedDepth,
    },
  };
}
