import { parseArgs } from 'node:util';

export const USAGE = `npm run bench -- [options]
  --quick        small counts and one round, about 3 minutes: tests that everything runs, without meaningful figures
  --only=a,b     only these rows (file names in bench/rows)
  --scale=30,100 millions of records of the row "scale", instead of 10
  --report       rebuild the report from the existing results
  --keep         keep the data directory
`;

/**
 * @param {string[]} args
 * @returns {{ quick: boolean, only: string[] | undefined, scale: number[] | undefined, report:
 *   boolean, keep: boolean }}
 * @throws TypeError for an unknown option
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
