import { StoreError } from '../../base/errors.ts';
import { damageHint } from '../../store/recovery/advice.ts';
import { noStoreError } from '../../store/recovery/directory-state.ts';
import { damageError } from './damage-text.ts';
import type { Survey } from '../../inspection/survey.ts';

/** The error that an open of the directory would reject with. Undefined if it would succeed. */
export function surveyError(survey: Survey): StoreError | undefined {
  const { outcome, damages, refusals, directory } = survey;
  if (outcome === 'opens') return undefined;
  const [refusal] = refusals;
  if (refusal !== undefined) {
    return new StoreError(refusal.code, refusal.message, { path: refusal.path });
  }
  if (outcome === 'damaged') return damageError(damages, damageHint(directory));
  return noStoreError(directory);
}
