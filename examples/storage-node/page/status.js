import uPlot from './uplot.js';

const EVERY_MS = 1000;
const KEPT_SAMPLES = 300;
const MIB = 2 ** 20;

/** @param {string} id */
const byId = (id) => document.getElementById(id);

function bytesText(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const countText = (count) => count.toLocaleString('en');
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** An element with text. Client data is never interpreted as HTML. */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...content);
  return element;
}

/** The duration that this share of the requests between two samples did not exceed. */
function quantile(before, after, bounds, share) {
  const counts = after.durations.map((count, at) => count - (before.durations[at] ?? 0));
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let below = 0;
  for (const [at, count] of counts.entries()) {
    if (below + count >= share * all) {
      const low = at === 0 ? 0 : bounds[at - 1];
      const high = bounds[at] ?? bounds.at(-1);
      return 1000 * (low + ((share * all - below) / count) * (high - low));
    }
    below += count;
  }
  return null;
}

const CHARTS = [
  {
    id: 'rates',
    series: [
      ['reads', 'live'],
      ['writes', 'good'],
      ['deletes', 'dead'],
      ['others', 'violet'],
      ['failures', 'bad'],
    ],
    values: (a, b, seconds) =>
      ['reads', 'writes', 'deletes', 'others', 'failures'].map(
        (name) => (b[name] - a[name]) / seconds,
      ),
  },
  {
    id: 'latencies',
    series: [
      ['p50', 'live'],
      ['p99', 'dead'],
    ],
    values: (a, b, _seconds, bounds) => [quantile(a, b, bounds, 0.5), quantile(a, b, bounds, 0.99)],
  },
  {
    id: 'throughput',
    series: [
      ['received', 'good'],
      ['sent', 'live'],
    ],
    values: (a, b, seconds) => [
      (b.receivedBytes - a.receivedBytes) / seconds / MIB,
      (b.sentBytes - a.sentBytes) / seconds / MIB,
    ],
  },
];

const samples = [];
let plots = [];

function dataOf({ values, series }, bounds) {
  const data = [[], ...series.map(() => [])];
  for (const [at, after] of samples.entries()) {
    const before = samples[at - 1];
    if (before === undefined) continue;
    data[0].push(after.atMs / 1000);
    const row = values(before, after, (after.atMs - before.atMs) / 1000, bounds);
    for (const [i, value] of row.entries()) data[i + 1].push(value);
  }
  return data;
}

function sizeOf(element) {
  return { width: Math.max(200, element.clientWidth), height: 190 };
}

/** Rebuilds the plots, because a canvas has fixed colours. */
function makePlots() {
  for (const { plot } of plots) plot.destroy();
  const axis = {
    stroke: colour('faint'),
    grid: { stroke: colour('line') },
    ticks: { stroke: colour('line') },
  };
  plots = CHARTS.map((chart) => {
    const element = byId(chart.id);
    const series = chart.series.map(([label, name]) => ({
      label,
      stroke: colour(name),
      width: 1.5,
      spanGaps: false,
      // A second without requests has no latency, so isolated values are drawn as points.
      points: { show: chart.id === 'latencies', size: 4 },
      value: (_plot, value) => (value === null || value === undefined ? '–' : value.toFixed(1)),
    }));
    const options = {
      ...sizeOf(element),
      series: [{ label: 'time' }, ...series],
      axes: [axis, { ...axis, size: 56 }],
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      cursor: { y: false },
    };
    return { chart, element, plot: new uPlot(options, [[], ...series.map(() => [])], element) };
  });
}

function showTiles({ figures, s3 }) {
  const live = figures.volumes.reduce((sum, volume) => sum + volume.liveBytes, 0);
  const dead = figures.volumes.reduce((sum, volume) => sum + volume.deadBytes, 0);
  const marks = figures.volumes.reduce((sum, volume) => sum + volume.markBytes, 0);
  const tiles = [
    ['objects', 'objects', countText(figures.objects)],
    ['buckets', 'buckets', countText(figures.buckets)],
    ['uploads', 'open uploads', countText(figures.uploads)],
    ['requests', 'requests', countText(s3.requests)],
    ['in-flight', 'in flight', countText(s3.inFlight)],
    ['connections', 'connections', countText(s3.connections)],
    ['received', 'received', bytesText(s3.receivedBytes)],
    ['sent', 'sent', bytesText(s3.sentBytes)],
    ['live', 'live', bytesText(live)],
    ['dead', 'dead', bytesText(dead)],
    ['marks', 'marks of deletes', bytesText(marks)],
    ['free', 'free on disk', bytesText(figures.space.freeBytes)],
    ['damaged', 'damaged reads', countText(figures.reads.damaged)],
  ];
  byId('tiles').replaceChildren(
    ...tiles.map(([id, name, text]) => {
      const tile = make('div', 'tile', make('b', '', text), make('span', '', name));
      tile.dataset.tile = id;
      return tile;
    }),
  );
}

function bar(parts, total) {
  const element = make('div', 'bar');
  for (const [name, bytes] of parts) {
    const part = make('i', name);
    part.style.width = `${total === 0 ? 0 : Math.min(100, (100 * bytes) / total)}%`;
    element.append(part);
  }
  return element;
}

function list(pairs) {
  return make(
    'dl',
    '',
    ...pairs.flatMap(([name, text]) => [make('dt', '', name), make('dd', '', text)]),
  );
}

function showVolumes({ volumes }) {
  const largest = Math.max(1, ...volumes.map(({ sizeBytes }) => sizeBytes));
  const rows = volumes.map((volume) => {
    const { number, state, sizeBytes, liveBytes, deadBytes } = volume;
    const row = make(
      'div',
      'volume',
      make('span', '', `${number} · ${volume.class} · ${state}`),
      bar(
        [
          ['live', liveBytes],
          ['dead', deadBytes],
        ],
        largest,
      ),
      make(
        'span',
        '',
        `${bytesText(liveBytes)} live, ${bytesText(deadBytes)} dead of ${bytesText(sizeBytes)}`,
      ),
    );
    row.dataset.volume = number;
    return row;
  });
  byId('volumes').replaceChildren(...(rows.length > 0 ? rows : [make('p', 'faint', 'none yet')]));
}

function progress(work, idle) {
  const isBusy = work.volume !== undefined;
  const text = isBusy
    ? `volume ${work.volume}: ${bytesText(work.doneBytes)} of ${bytesText(work.totalBytes)}`
    : idle;
  return [make('p', 'faint', text), bar([['live', isBusy ? work.doneBytes : 0]], work.totalBytes)];
}

function showUpkeep({ compaction, scrub, space, writes, writeBuffer }) {
  byId('compaction').replaceChildren(
    ...progress(compaction, 'nothing to compact'),
    list([
      ['given back', bytesText(compaction.reclaimedBytes)],
      ['volumes removed', countText(compaction.retiredVolumes)],
      ['records moved', countText(compaction.rescuedRecords)],
      ['deleted meanwhile', countText(compaction.lostRecords)],
    ]),
  );
  const last =
    scrub.finishedMs === undefined ? 'never' : new Date(scrub.finishedMs).toLocaleString('en');
  byId('scrub').replaceChildren(
    ...progress(scrub, 'waiting'),
    list([
      ['verified', bytesText(scrub.verifiedBytes)],
      ['damaged records', countText(scrub.damagedRecords)],
      ['last whole pass', last],
    ]),
  );
  const used = space.totalBytes - space.freeBytes;
  byId('space').replaceChildren(
    make('p', 'faint', `${bytesText(used)} used of ${bytesText(space.totalBytes)}`),
    bar([['live', used]], space.totalBytes),
    list([
      ['free', bytesText(space.freeBytes)],
      ['reserve for deletes', bytesText(space.reserveBytes)],
      ['waiting to be written', bytesText(writes.queuedBytes)],
      ['acknowledged, not durable', countText(writeBuffer.puts)],
      ['syncs of volumes', countText(writes.volumeSyncs)],
    ]),
  );
}

function showErrors({ figures, s3 }) {
  const all = [
    ...figures.recentErrors,
    ...s3.recentErrors.map(({ atMs, operation, path, error, cause }) => ({
      atMs,
      message: `${operation} ${path}: ${error ?? 'no answer'}${cause === undefined ? '' : `: ${cause}`}`,
    })),
  ].sort((a, b) => b.atMs - a.atMs);
  const rows = all
    .slice(0, 30)
    .map(({ atMs, message }) =>
      make(
        'div',
        'error',
        make('span', 'faint', new Date(atMs).toLocaleTimeString('en')),
        make('span', '', message),
      ),
    );
  byId('errors').replaceChildren(...(rows.length > 0 ? rows : [make('p', 'faint', 'none')]));
}

function show(status) {
  samples.push(...status.samples);
  samples.splice(0, Math.max(0, samples.length - KEPT_SAMPLES));
  showTiles(status);
  showVolumes(status.figures);
  showUpkeep(status.figures);
  showErrors(status);
  for (const { chart, plot } of plots) plot.setData(dataOf(chart, status.durationBoundsS));
  const minutes = Math.floor((status.atMs - status.startedMs) / 60_000);
  byId('where').textContent = `${status.s3Url ?? ''} · up ${minutes} min`;
}

function showState(text, className) {
  byId('state').textContent = text;
  byId('state').className = className;
}

async function refresh() {
  try {
    const since = samples.at(-1)?.atMs ?? 0;
    const answer = await fetch(`/status.json?since=${since}`);
    if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
    show(await answer.json());
    showState('live', 'ok');
  } catch (error) {
    showState(`no answer: ${error.message}`, 'bad');
  }
  setTimeout(() => void refresh(), EVERY_MS);
}

makePlots();
new ResizeObserver(() => {
  for (const { element, plot } of plots) plot.setSize(sizeOf(element));
}).observe(byId('rates'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', makePlots);
await refresh();
