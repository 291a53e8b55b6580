import { parseArgs } from 'node:util';

export const USAGE = `npm run bench -- [options]
  --quick        small counts and one round, about 3 minutes: shows that everything runs, not how fast
  --only=a,b     only these rows (names of files in bench/rows)
  --scale=30,100 millions of records of the row "scale", instead of 10
  --report       makes the report again from the results that are there
  --keep         keeps the data directory
`;

/**
 * @param {string[]} args
 * @returns {{ quick: boolean, only: string[] | undefined, scale: number[] | undefined, report:
 *   boolean, keep: boolean }}
 * @throws TypeError for an option that there is not
 */
export function parseArguments(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      scale: { type: 'string' },
      report: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    quick: values.quick,
    only: values.only?.split(','),
    scale: values.scale?.split(',').map(Number),
    report: values.report,
    keep: values.keep,
  };
}
