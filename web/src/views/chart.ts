import {
  CandlestickSeries,
  createChart,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type UTCTimestamp,
} from "lightweight-charts";

import { PRICE_SCALE } from "../amounts";
import { type CandleSeries, tellCandle } from "../candles";
import type { Candle } from "../messages";
import { byId } from "./dom";

const VOLUME_SCALE = "volume";
/** Wide enough to tell a candle's body from its wick. */
const BAR_WIDTH_PX = 8;

/** Draws the candles. Only here does a price become a fraction: as a place on the screen. */
export class ChartView {
  private readonly chart: IChartApi;
  private readonly prices: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private drawn: CandleSeries | null = null;
  private drawnTo = 0;
  private colours = readColours();

  constructor() {
    this.chart = createChart(byId("canvas"), {
      autoSize: true,
      // The logo brings a style sheet of its own, which the policy refuses; the page's foot
      // names the library.
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif" },
      localization: { priceFormatter: (price: number) => price.toFixed(2) },
      timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 2 },
      rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.24 } },
    });
    this.prices = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: VOLUME_SCALE,
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.chart.priceScale(VOLUME_SCALE).applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.colours = readColours();
      this.paint();
      this.drawn = null;
    });
  }

  show(series: CandleSeries | null): void {
    const candles = series?.candles ?? [];
    if (series === null || series !== this.drawn) this.drawAll(series, candles);
    else for (const candle of since(candles, this.drawnTo)) this.drawOne(candle);
    this.drawnTo = candles.at(-1)?.openTimeUs ?? 0;
    byId("candle").textContent = tellCandle(candles.at(-1));
  }

  private drawAll(series: CandleSeries | null, candles: readonly Candle[]): void {
    this.prices.setData(candles.map((candle) => this.bar(candle)));
    this.volumes.setData(candles.map((candle) => this.volume(candle)));
    this.chart.applyOptions({ timeScale: { secondsVisible: series?.interval === "1s" } });
    const end = candles.length + 2;
    const shown = Math.max(20, Math.floor(byId("canvas").clientWidth / BAR_WIDTH_PX));
    this.chart.timeScale().setVisibleLogicalRange({ from: end - shown, to: end });
    this.drawn = series;
  }

  private drawOne(candle: Candle): void {
    this.prices.update(this.bar(candle));
    this.volumes.update(this.volume(candle));
  }

  private bar(candle: Candle) {
    return {
      time: timeOf(candle),
      open: candle.open / PRICE_SCALE,
      high: candle.high / PRICE_SCALE,
      low: candle.low / PRICE_SCALE,
      close: candle.close / PRICE_SCALE,
      ...(candle.isPartial ? this.pale(candle) : {}),
    };
  }

  /** Of a candle that lacks trades. */
  private pale(candle: Candle) {
    const color = this.softOf(candle);
    return { color, wickColor: color };
  }

  private volume(candle: Candle) {
    return { time: timeOf(candle), value: candle.volume, color: this.softOf(candle) };
  }

  private softOf(candle: Candle): string {
    const { upSoft, downSoft } = this.colours;
    return candle.close >= candle.open ? upSoft : downSoft;
  }

  private paint(): void {
    const { text, line, up, down } = this.colours;
    this.chart.applyOptions({
      layout: { background: { color: "transparent" }, textColor: text },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    this.prices.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
  }
}

function timeOf(candle: Candle): UTCTimestamp {
  return (candle.openTimeUs / 1_000_000) as UTCTimestamp;
}

/** The candles from the one that was last drawn on: it may have grown since. */
function since(candles: readonly Candle[], drawnToUs: number): readonly Candle[] {
  const first = candles.findLastIndex((candle) => candle.openTimeUs <= drawnToUs);
  return candles.slice(Math.max(0, first));
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: read("--soft"),
    line: read("--line"),
    up: read("--up"),
    down: read("--down"),
    upSoft: read("--up-soft"),
    downSoft: read("--down-soft"),
  };
}
