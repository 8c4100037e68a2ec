/**
 * Whether each subscription's messages come without a gap: 0 is the snapshot, then one more each.
 *
 * Who unsubscribes and subscribes again at once still hears what was on its way before.
 */
export class Sequences {
  private readonly next = new Map<string, number>();

  begin(subscription: string): void {
    this.next.set(subscription, 0);
  }

  end(subscription: string): void {
    this.next.delete(subscription);
  }

  /** "stray": of no present subscription; "gap": a message before it is missing. */
  judge(subscription: string, sequence: number): "next" | "stray" | "gap" {
    const wanted = this.next.get(subscription);
    if (wanted === undefined || (wanted === 0 && sequence !== 0)) return "stray";
    if (sequence !== 0 && sequence !== wanted) return "gap";
    this.next.set(subscription, sequence + 1);
    return "next";
  }
}
