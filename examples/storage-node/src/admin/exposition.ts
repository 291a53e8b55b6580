import type { NodeFigures } from '../node-figures.ts';
import { DURATION_BOUNDS_S, type S3Stats } from '../s3/s3-stats.ts';

type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number, suffix?: string];

function escapeLabel(text: string | number): string {
  return String(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Text in the format of Prometheus, one metric after another. */
class Exposition {
  #text = '';

  add(
    name: string,
    type: 'counter' | 'gauge' | 'histogram',
    help: string,
    samples: readonly Sample[],
  ): void {
    this.#text += `# HELP lodestore_node_${name} ${help}\n# TYPE lodestore_node_${name} ${type}\n`;
    for (const [labels, value, suffix = ''] of samples) {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
      const braces = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
      this.#text += `lodestore_node_${name}${suffix}${braces} ${value}\n`;
    }
  }

  gauge(name: string, help: string, value: number): void {
    this.add(name, 'gauge', help, [[{}, value]]);
  }

  counter(name: string, help: string, value: number): void {
    this.add(`${name}_total`, 'counter', help, [[{}, value]]);
  }

  text(): string {
    return this.#text;
  }
}

function addRequests(out: Exposition, stats: S3Stats): void {
  const requests: Sample[] = [];
  const durations: Sample[] = [];
  for (const [operation, { requests: byStatus, durations: counts, seconds }] of stats.operations) {
    for (const [status, count] of byStatus) requests.push([{ operation, status }, count]);
    let below = 0;
    for (const [at, count] of counts.entries()) {
      below += count;
      const le = DURATION_BOUNDS_S[at] ?? '+Inf';
      durations.push([{ operation, le }, below, '_bucket']);
    }
    durations.push([{ operation }, seconds, '_sum'], [{ operation }, below, '_count']);
  }
  out.add('s3_requests_total', 'counter', 'Requests answered, by operation and status.', requests);
  out.add(
    's3_request_duration_seconds',
    'histogram',
    'From the head of a request to the end of its response.',
    durations,
  );
  out.counter('s3_received_bytes', 'Bytes of request bodies.', stats.receivedBytes);
  out.counter('s3_sent_bytes', 'Bytes of responses, without their heads.', stats.sentBytes);
  out.gauge('s3_requests_in_flight', 'Requests in flight.', stats.inFlight);
  out.gauge('s3_connections', 'Open connections.', stats.connections);
}

function addVolumes(out: Exposition, { volumes }: NodeFigures): void {
  const each = (pick: (volume: NodeFigures['volumes'][number]) => number): Sample[] =>
    volumes.map((volume) => {
      const { number, state } = volume;
      return [{ volume: number, class: volume.class, state }, pick(volume)];
    });
  out.add(
    'volume_size_bytes',
    'gauge',
    'Length of a volume.',
    each(({ sizeBytes }) => sizeBytes),
  );
  out.add(
    'volume_live_bytes',
    'gauge',
    'Bytes of a volume that are in use.',
    each(({ liveBytes }) => liveBytes),
  );
  out.add(
    'volume_dead_bytes',
    'gauge',
    'Bytes of a volume that compaction can free.',
    each(({ deadBytes }) => deadBytes),
  );
  out.add(
    'volume_mark_bytes',
    'gauge',
    'Bytes of a volume that tell a rebuild of the metadata what was deleted.',
    each(({ markBytes }) => markBytes),
  );
}

function addUpkeep(out: Exposition, { compaction, scrub }: NodeFigures): void {
  out.gauge(
    'compaction_done_bytes',
    'Bytes read of the volume that is being compacted.',
    compaction.doneBytes,
  );
  out.gauge(
    'compaction_todo_bytes',
    'Length of the volume that is being compacted.',
    compaction.totalBytes,
  );
  out.add('compaction_records_total', 'counter', 'Records that compaction processed.', [
    [{ outcome: 'rescued' }, compaction.rescuedRecords],
    [{ outcome: 'lost' }, compaction.lostRecords],
    [{ outcome: 'skipped' }, compaction.skippedRecords],
  ]);
  out.counter('compaction_reclaimed_bytes', 'Bytes freed on the disk.', compaction.reclaimedBytes);
  out.counter('compaction_retired_volumes', 'Volumes removed.', compaction.retiredVolumes);
  out.gauge(
    'scrub_done_bytes',
    'Bytes verified of the volume that is being scrubbed.',
    scrub.doneBytes,
  );
  out.gauge('scrub_todo_bytes', 'Length of the volume that is being scrubbed.', scrub.totalBytes);
  out.counter('scrub_verified_bytes', 'Bytes that the scrubber verified.', scrub.verifiedBytes);
  out.counter(
    'scrub_damaged_records',
    'Damaged records that the scrubber found.',
    scrub.damagedRecords,
  );
}

function addWriteBuffer(out: Exposition, { writeBuffer }: NodeFigures): void {
  const { puts, bytes, limitBytes, acknowledged, flushes, failedFlushes, failing } = writeBuffer;
  out.gauge('write_buffer_puts', 'PUTs acknowledged and not durable yet.', puts);
  out.gauge('write_buffer_bytes', 'Memory of the PUTs that are not durable yet.', bytes);
  out.gauge('write_buffer_limit_bytes', 'Limit of that memory.', limitBytes);
  out.counter('write_buffer_acknowledged', 'PUTs acknowledged before durable.', acknowledged);
  out.counter('write_buffer_flushes', 'Writes of the write buffer.', flushes);
  out.counter('write_buffer_failed_flushes', 'Failed writes of the write buffer.', failedFlushes);
  out.gauge(
    'write_buffer_failing_buckets',
    'Buckets that refuse PUTs, because their write buffer cannot be written.',
    failing.length,
  );
}

/** All counts of a node and its S3 server, as Prometheus text. */
export function expositionOf(figures: NodeFigures, stats: S3Stats): string {
  const out = new Exposition();
  out.gauge('objects', 'Objects in all buckets.', figures.objects);
  out.gauge('buckets', 'Buckets.', figures.buckets);
  out.gauge('uploads', 'Incomplete multipart uploads.', figures.uploads);
  addRequests(out, stats);
  addVolumes(out, figures);
  addUpkeep(out, figures);
  const { space, writes, reads } = figures;
  out.gauge('free_bytes', 'Free bytes on the disk of the node.', space.freeBytes);
  out.gauge('capacity_bytes', 'Capacity of the node: used and free bytes.', space.totalBytes);
  out.gauge(
    'reserve_bytes',
    'Bytes kept free, so that deletes work on a full disk.',
    space.reserveBytes,
  );
  out.gauge(
    'full',
    '1 while a PUT of 1 MiB would be refused for lack of space.',
    space.isFull ? 1 : 0,
  );
  out.gauge('write_queue_bytes', 'Bytes that wait to be written.', writes.queuedBytes);
  out.gauge('write_queue_length', 'Writes that wait.', writes.queued);
  addWriteBuffer(out, figures);
  out.counter('write_groups', 'Groups of writes.', writes.groups);
  out.counter('volume_syncs', 'Syncs of volumes.', writes.volumeSyncs);
  out.counter('written_bytes', 'Bytes written to volumes.', writes.writtenBytes);
  out.counter('read_bytes', 'Bytes read from volumes.', reads.readBytes);
  out.counter('damaged_reads', 'Reads refused because of damage.', reads.damaged);
  return out.text();
}
