import type { BasePage } from './base/base-page.ts';
import type { View } from './view.ts';

/**
 * Bytes of layers and chunks that the views keep in memory and `current` does not need. Memory that
 * several views share counts once.
 */
export function heldBytes(current: View, views: Iterable<View>): number {
  const seen = new Set<object>(layersOf(current));
  for (const page of current.older.base.pages) seen.add(page);
  const pages: BasePage[] = [];
  let bytes = 0;
  for (const view of views) {
    for (const layer of layersOf(view)) {
      if (!seen.has(layer)) bytes += layer.memoryBytes;
      seen.add(layer);
    }
    for (const page of view.older.base.pages) {
      if (!seen.has(page)) pages.push(page);
      seen.add(page);
    }
  }
  if (pages.length === 0) return bytes;
  // A merge makes new pages that share most chunks with the old ones.
  for (const page of current.older.base.pages) {
    for (const chunk of page.loadedChunks()) seen.add(chunk);
  }
  for (const page of pages) {
    for (const chunk of page.loadedChunks()) {
      if (!seen.has(chunk)) bytes += chunk.memoryBytes;
      seen.add(chunk);
    }
  }
  return bytes;
}

function layersOf({ live, older }: View): readonly { readonly memoryBytes: number }[] {
  return [live, ...older.frozen];
}
