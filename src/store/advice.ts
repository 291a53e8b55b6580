/** The advice that goes with damage to a directory. */
export function damageHint(directory: string): string {
  return (
    `Nothing has been changed. "lodestore inspect ${directory}" shows every file and frame; ` +
    `opening with recovery: 'salvage' keeps what verifies, moves damaged originals to quarantine/ and ` +
    `reports the loss`
  );
}
