const hooks = new Set<() => void>();

/** An exception would keep later hooks, and those of the application, from running. */
function runHooks(): void {
  for (const hook of hooks) {
    try {
      hook();
    } catch {
      // The next open handles what remains.
    }
  }
}

/**
 * Calls `hook` when the process really exits; never on a signal, which a process may survive.
 * Returns a function that removes the hook. One listener serves all hooks.
 */
export function atExit(hook: () => void): () => void {
  if (hooks.size === 0) process.on('exit', runHooks);
  hooks.add(hook);
  return () => {
    hooks.delete(hook);
    if (hooks.size === 0) process.off('exit', runHooks);
  };
}
