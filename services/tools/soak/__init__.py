"""Hours of load with kills, and open-loop load: figures over time, kept as files and pictures."""
