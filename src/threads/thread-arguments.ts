/** Options that affect how modules are found and loaded. */
const LOADING = /^(-r|-C|--(require|import|loader|experimental-loader|conditions))(=|$)/;

/**
 * Returns the `execArgv` of a thread. Undefined: it inherits all options of the process. If the
 * process has `--input-type`, which a thread with an entry file rejects, only options for module
 * loading are passed on.
 */
export function threadArguments(inherited: readonly string[]): string[] | undefined {
  if (!inherited.some((argument) => argument.startsWith('--input-type'))) return undefined;
  return inherited.flatMap((argument, i) => {
    if (!LOADING.test(argument)) return [];
    const value = argument.includes('=') ? undefined : inherited[i + 1];
    return value === undefined ? [argument] : [argument, value];
  });
}
