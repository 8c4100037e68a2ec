"""Scenarios for locust. `outcry load rest` runs one, and so does `make load SCENARIO=rest`."""
