/**
 * A table in Markdown; its first `texts` columns are set to the left.
 * @type {(table: { head: string[], rows: string[][] }, texts?: number) => string}
 */
export function tableText({ head, rows }, texts = 1) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = head.map((_, i) => (i < texts ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line), '', ''].join('\n');
}
