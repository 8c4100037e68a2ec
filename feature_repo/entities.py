"""What features belong to."""

from services.online.catalog import TICKER

ticker = TICKER
