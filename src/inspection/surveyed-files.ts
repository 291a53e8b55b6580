import type { DirectoryListing } from '../directory/listing.ts';
import type { Claim } from '../format/claim.ts';
import type { LogSurvey } from './log-survey.ts';
import type { Owner } from './owner.ts';
import type { SnapshotSurvey } from './snapshot-survey.ts';
import type { Judgement } from './survey-judgement.ts';

/** A name beside logs and snapshots. */
export interface OtherFile {
  readonly name: string;
  readonly kind: 'temporary' | 'marker' | 'lock' | 'lease' | 'quarantine' | 'reserve' | 'foreign';
  /** Undefined for a directory, and for what cannot be looked at. */
  readonly bytes: number | undefined;
}

/** Everything that a directory holds, as it was found. Numbers ascend. */
export interface SurveyedFiles extends Judgement {
  readonly directory: string;
  /** What the lock file says must be there; undefined where it makes no claim. */
  readonly claim: Claim | undefined;
  readonly listing: DirectoryListing;
  readonly snapshots: readonly SnapshotSurvey[];
  readonly logs: readonly LogSurvey[];
  readonly others: readonly OtherFile[];
  readonly sizes: ReadonlyMap<string, number>;
  readonly owner: Owner | undefined;
}
