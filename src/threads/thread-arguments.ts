/** Options that decide how modules are found and loaded. */
const LOADING = /^(-r|-C|--(require|import|loader|experimental-loader|conditions))(=|$)/;

/**
 * What a thread is started with: undefined to inherit all of the process's options. Under
 * `--input-type`, which no thread with a file for an entry takes, only those that concern loading.
 */
export function threadArguments(inherited: readonly string[]): string[] | undefined {
  if (!inherited.some((argument) => argument.startsWith('--input-type'))) return undefined;
  return inherited.flatMap((argument, i) => {
    if (!LOADING.test(argument)) return [];
    const value = argument.includes('=') ? undefined : inherited[i + 1];
    return value === undefined ? [argument] : [argument, value];
  });
}
