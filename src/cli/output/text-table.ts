export interface TextColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** Formats a table: titles first, each column as wide as its widest cell. */
export function renderTable(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
): string[] {
  const titles = columns.map((column) => column.title);
  const widths = titles.map((title, i) =>
    rows.reduce((width, row) => Math.max(width, (row[i] ?? '').length), title.length),
  );
  return [titles, ...rows].map((row) =>
    columns
      .map(({ align }, i) => {
        const cell = row[i] ?? '';
        return align === 'left' ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
      })
      .join('  ')
      .trimEnd(),
  );
}
