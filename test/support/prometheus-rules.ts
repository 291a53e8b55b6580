import type { Family } from './prometheus-text.ts';

/** The result of one scrape. */
export interface Scrape {
  readonly atSeconds: number;
  readonly families: ReadonlyMap<string, Family>;
}

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly forSeconds: number;
}

/** Values by the labels of their series. */
type Vector = ReadonlyMap<string, number>;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
const SELECTOR = /^(\w+)(?:\{(\w+)="(\w+)"\})?$/;

function secondsOf(duration: string): number {
  const [, count, unit] = /^(\d+)([smh])$/.exec(duration)!;
  return Number(count) * SECONDS[unit!]!;
}

/** The rules of a rule file with one key per line, `alert` first. */
export function readAlertRules(text: string): AlertRule[] {
  return text
    .split(/^ *- alert: /m)
    .slice(1)
    .map((rule) => ({
      alert: rule.split('\n')[0]!,
      expr: /^ *expr: (.+)$/m.exec(rule)![1]!,
      forSeconds: secondsOf(/^ *for: (\w+)$/m.exec(rule)?.[1] ?? '0s'),
    }));
}

/**
 * True if the alert fires at the last scrape: its expression holds now and at each scrape during
 * `for`.
 */
export function isFiring({ expr, forSeconds }: AlertRule, scrapes: readonly Scrape[]): boolean {
  const now = scrapes.at(-1)!.atSeconds;
  if (scrapes[0]!.atSeconds > now - forSeconds) return false;
  return scrapes.every(
    ({ atSeconds }, i) =>
      atSeconds < now - forSeconds || evaluate(expr, scrapes.slice(0, i + 1)).size > 0,
  );
}

/** The series for which an expression holds. Supports the subset of PromQL that the rules use. */
function evaluate(expr: string, scrapes: readonly Scrape[]): Vector {
  const [first, ...others] = expr.split(' and ').map((term) => compare(term, scrapes));
  return new Map([...first!].filter(([key]) => others.every((other) => other.has(key))));
}

function compare(term: string, scrapes: readonly Scrape[]): Vector {
  const match = /^(.+) (==|<|>) ([\d.]+)$/.exec(term);
  if (match === null) throw new Error(`not a comparison: ${term}`);
  const [, left, operator, right] = match;
  const bound = Number(right);
  const holds = (value: number): boolean =>
    operator === '==' ? value === bound : operator === '<' ? value < bound : value > bound;
  return new Map([...valueOf(left!, scrapes)].filter(([, value]) => holds(value)));
}

function valueOf(expr: string, scrapes: readonly Scrape[]): Vector {
  const quantile = /^histogram_quantile\(([\d.]+), (.+)\)$/.exec(expr);
  if (quantile !== null) return quantiles(Number(quantile[1]), valueOf(quantile[2]!, scrapes));
  const age = /^time\(\) - (.+)$/.exec(expr);
  if (age !== null) {
    const { atSeconds } = scrapes.at(-1)!;
    return new Map([...valueOf(age[1]!, scrapes)].map(([key, value]) => [key, atSeconds - value]));
  }
  const range = /^(?:increase|rate)\((.+)\[(\w+)\]\)$/.exec(expr);
  if (range === null) return select(expr, scrapes.at(-1)!);
  const now = scrapes.at(-1)!.atSeconds;
  const within = scrapes.filter(({ atSeconds }) => atSeconds >= now - secondsOf(range[2]!));
  if (within.length < 2) return new Map();
  const [from, to] = [select(range[1]!, within[0]!), select(range[1]!, within.at(-1)!)];
  return new Map([...to].map(([key, value]) => [key, value - (from.get(key) ?? 0)]));
}

/** The samples of a selector, by their labels. */
function select(selector: string, { families }: Scrape): Vector {
  const match = SELECTOR.exec(selector);
  if (match === null) throw new Error(`not a selector: ${selector}`);
  const [, name, label, wanted] = match;
  const family = families.get(name!) ?? families.get(name!.replace(/_bucket$/, ''));
  if (family === undefined) throw new Error(`no such metric: ${name}`);
  const samples = family.samples.filter(
    (sample) => sample.name === name && (label === undefined || sample.labels[label] === wanted),
  );
  return new Map(
    samples.map(({ labels, value }) => [JSON.stringify(Object.entries(labels)), value]),
  );
}

interface Bucket {
  readonly le: number;
  readonly count: number;
}

/** As Prometheus computes it: linear within the bucket of the quantile. */
function quantileOf(quantile: number, buckets: readonly Bucket[]): number | undefined {
  const sorted = buckets.toSorted((a, b) => a.le - b.le);
  const rank = quantile * sorted.at(-1)!.count;
  const at = sorted.findIndex(({ count }) => count > 0 && count >= rank);
  if (at < 0) return undefined;
  const { le, count } = sorted[at]!;
  const lower = sorted[at - 1] ?? { le: 0, count: 0 };
  if (le === Infinity) return lower.le;
  return lower.le + ((le - lower.le) * (rank - lower.count)) / (count - lower.count);
}

function quantiles(quantile: number, buckets: Vector): Vector {
  const series = new Map<string, Bucket[]>();
  for (const [key, count] of buckets) {
    const labels = JSON.parse(key) as [string, string][];
    const le = Number(labels.find(([name]) => name === 'le')![1].replace('+Inf', 'Infinity'));
    const rest = JSON.stringify(labels.filter(([name]) => name !== 'le'));
    series.set(rest, [...(series.get(rest) ?? []), { le, count }]);
  }
  const found = new Map<string, number>();
  for (const [key, list] of series) {
    const value = quantileOf(quantile, list);
    if (value !== undefined) found.set(key, value);
  }
  return found;
}
