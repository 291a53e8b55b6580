// @ts-check

/** @import { ShardStatus } from './cluster.mjs' */

/** @param {unknown} text */
function escaped(text) {
  return String(text).replace(/[&<>"]/g, (it) => `&#${it.charCodeAt(0)};`);
}

/**
 * The state of a node as a page that reloads itself.
 * @param {string} address
 * @param {readonly ShardStatus[]} shards
 */
export function statusPage(address, shards) {
  const columns = ['shard', 'role', 'primary', 'epoch', 'position', 'lag', 'records', 'failure'];
  const rows = shards.map((shard) => {
    const cells = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (shard));
    return `<tr>${columns.map((name) => `<td>${escaped(cells[name] ?? '')}</td>`).join('')}</tr>`;
  });
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="1"><title>lodestore node ${escaped(address)}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }
  table { border-collapse: collapse; }
  th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #ddd; }
</style></head><body>
<h1>lodestore node ${escaped(address)}</h1>
<table><thead><tr>${columns.map((name) => `<th>${name}</th>`).join('')}</tr></thead>
<tbody>${rows.join('')}</tbody></table>
</body></html>`;
}
