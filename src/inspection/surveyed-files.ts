import type { DirectoryListing } from '../directory/listing.ts';
import type { Claim } from '../format/claim.ts';
import type { LogSurvey } from './log-survey.ts';
import type { Owner } from './owner.ts';
import type { SnapshotSurvey } from './snapshot-survey.ts';
import type { Judgement } from './survey-judgement.ts';

/** A name that is neither a log nor a snapshot. */
export interface OtherFile {
  readonly name: string;
  readonly kind: 'temporary' | 'marker' | 'lock' | 'lease' | 'quarantine' | 'reserve' | 'foreign';
  /** Undefined for a directory, and if it cannot be determined. */
  readonly bytes: number | undefined;
}

/** Everything found in a directory. Numbers ascend. */
export interface SurveyedFiles extends Judgement {
  readonly directory: string;
  /** What the directory must hold according to the lock file. Undefined if it has no claim. */
  readonly claim: Claim | undefined;
  readonly listing: DirectoryListing;
  readonly snapshots: readonly SnapshotSurvey[];
  readonly logs: readonly LogSurvey[];
  readonly others: readonly OtherFile[];
  readonly sizes: ReadonlyMap<string, number>;
  readonly owner: Owner | undefined;
}
