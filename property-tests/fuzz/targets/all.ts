import { filesOf, readCorpus } from '../corpus.ts';
import type { Target } from '../target.ts';
import { ancestorRowsTarget, ancestorSnapshotTarget } from './ancestor.ts';
import { directoryTarget } from './directory.ts';
import { fileHeaderTarget, frameTarget, groupTarget } from './format.ts';
import { findFramesTarget, logTarget } from './log.ts';
import { ownerTarget } from './owner.ts';
import { chunkTarget, indexTarget, trailerTarget } from './snapshot-format.ts';
import { snapshotTarget } from './snapshot.ts';

const MAX_FILE_BYTES = 64 * 1024;
const MAX_DIRECTORY_BYTES = 100 * 1024;

/** All targets, seeded with the golden files. */
export async function allTargets(): Promise<Target[]> {
  const corpus = readCorpus();
  const files = filesOf(corpus, MAX_FILE_BYTES);
  const small = corpus.filter(
    ({ files: named }) =>
      [...named.values()].reduce((sum, bytes) => sum + bytes.length, 0) <= MAX_DIRECTORY_BYTES,
  );
  return [
    fileHeaderTarget(files),
    frameTarget(files),
    groupTarget(files),
    chunkTarget(files),
    indexTarget(files),
    trailerTarget(files),
    ancestorRowsTarget(files),
    ancestorSnapshotTarget(files),
    ownerTarget(),
    logTarget(files),
    findFramesTarget(files),
    snapshotTarget(files),
    await directoryTarget(small),
  ];
}
