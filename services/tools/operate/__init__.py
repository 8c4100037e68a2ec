"""What operators and traders do from a terminal, as clients of the exchange like any other."""
