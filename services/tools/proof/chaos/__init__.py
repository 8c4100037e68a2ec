"""Real faults on a real stack, and what must hold after each: `outcry chaos`."""
