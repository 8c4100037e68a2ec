const FIRST_MS = 500;
const LONGEST_MS = 10_000;

/**
 * How long to wait before the next try, in ms.
 *
 * @param failures how many tries in a row have failed, from 1.
 * @param chance between 0 and 1, so that pages which lost one gateway do not all return at once.
 */
export function backoffMs(failures: number, chance: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return Math.round(longest / 2 + (longest / 2) * chance);
}
