/** A sample line of Prometheus' text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Parses the text format, version 0.0.4. Throws for an invalid line, or a sample without a TYPE
 * before it.
 */
export function parsePrometheus(text: string): Map<string, Family> {
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const helps = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') helps.set(name!, rest!);
    else if (keyword === 'TYPE') {
      families.set(name!, { type: rest!, help: helps.get(name!) ?? '', samples: [] });
    } else {
      const sample = parseSample(line);
      const family =
        families.get(sample.name) ??
        families.get(sample.name.replace(/_(bucket|sum|count|total)$/, ''));
      if (family === undefined) throw new Error(`a sample without a type: ${line}`);
      family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const match = LINE.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name, labels = '', text] = match;
  const value = text === '+Inf' ? Infinity : Number(text);
  if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
  const pairs = [...labels.matchAll(LABEL)].map(([, key, label]) => [key!, label!]);
  return { name: name!, labels: Object.fromEntries(pairs), value };
}
