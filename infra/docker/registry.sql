-- The schema registry's own database, beside the exchange's; run once, when the volume is new.
CREATE DATABASE registry;
