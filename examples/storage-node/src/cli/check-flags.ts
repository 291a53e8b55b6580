import { checkedOptions, type NodeOptions } from '../node-options.ts';

/** @throws Error that names the flag: `--volume-bytes` is the option `volumeBytes`. */
export function checkFlags(options: NodeOptions): void {
  try {
    checkedOptions(options);
  } catch (error) {
    const message = (error as Error).message.replace(/^\w+/, (name) => {
      return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    });
    throw new Error(message, { cause: error });
  }
}
