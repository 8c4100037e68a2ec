/**
 * Whether each subscription's messages come without a gap: 0 is the snapshot, then one more each.
 * A book's are the log's own numbers: an update says which one it changes.
 *
 * Who unsubscribes and subscribes again at once still hears what was on its way before.
 */
export class Sequences {
  /** The next number; of a book the one that is there; null: nothing was heard yet. */
  private readonly known = new Map<string, number | null>();

  begin(subscription: string): void {
    this.known.set(subscription, null);
  }

  end(subscription: string): void {
    this.known.delete(subscription);
  }

  /** "stray": of no present subscription; "gap": a message before it is missing. */
  judge(subscription: string, sequence: number): "next" | "stray" | "gap" {
    const wanted = this.known.get(subscription);
    if (wanted === undefined || (wanted === null && sequence !== 0)) return "stray";
    if (sequence !== 0 && sequence !== wanted) return "gap";
    this.known.set(subscription, sequence + 1);
    return "next";
  }

  /** @param previous null: the book comes whole. */
  judgeBook(
    subscription: string,
    sequence: number,
    previous: number | null,
  ): "next" | "stray" | "gap" {
    const there = this.known.get(subscription);
    if (there === undefined || (there === null && previous !== null)) return "stray";
    if (previous !== null && previous !== there) return "gap";
    this.known.set(subscription, sequence);
    return "next";
  }
}
