import { compareU64 } from '../../base/u64.ts';
import { ENTRY_WORDS, HIGH, LOW, type RowPiece } from '../../replay/row-piece.ts';

/** Whether the keys of all pieces together ascend. There is a piece. */
export function isRun(pieces: readonly RowPiece[]): boolean {
  return pieces.length > 0 && pieces.every((piece, i) => follows(piece, pieces[i - 1]));
}

function follows({ entries, starts }: RowPiece, before: RowPiece | undefined): boolean {
  if (starts !== undefined) return false;
  if (before === undefined) return true;
  const last = before.entries.length - ENTRY_WORDS;
  const [lastLow, lastHigh] = [before.entries[last + LOW]!, before.entries[last + HIGH]!];
  return compareU64(lastLow, lastHigh, entries[LOW]!, entries[HIGH]!) < 0;
}
