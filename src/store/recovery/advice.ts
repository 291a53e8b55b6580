/** The advice in errors about damage of a directory. */
export function damageHint(directory: string): string {
  return (
    `Nothing has been changed. "lodestore explain ${directory}" shows the choices, and what each would lose; ` +
    `opening with recovery: 'salvage' keeps what verifies, moves damaged originals to quarantine/ and ` +
    `reports the loss`
  );
}
