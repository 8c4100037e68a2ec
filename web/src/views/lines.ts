import {
  createChart,
  type IChartApi,
  type IPrimitivePaneRenderer,
  type IPrimitivePaneView,
  type ISeriesApi,
  type ISeriesPrimitive,
  LineSeries,
  LineStyle,
  type UTCTimestamp,
} from "lightweight-charts";

import type { Mark, Point } from "../drift";
import { byId } from "./dom";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export interface Line {
  points: readonly Point[];
  /** A variable of the style sheet. */
  colour: "--accent" | "--soft" | "--amber";
  isDotted: boolean;
}

/** Lines over time, the first with its interval; a level to stay below, and marks across. */
export class LinesView {
  private readonly chart: IChartApi;
  private readonly lines: ISeriesApi<"Line">[] = [];
  private readonly overlay: Overlay;

  /** @param level where a line stands across the whole chart; null: nowhere. */
  constructor(
    id: string,
    private readonly level: { value: number; text: string } | null,
    count: number,
  ) {
    this.chart = createChart(byId(id), {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif" },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 1 },
      rightPriceScale: { scaleMargins: { top: 0.16, bottom: 0.08 } },
    });
    for (let place = 0; place < count; place += 1) {
      const line = this.chart.addSeries(LineSeries, {
        lineWidth: 2,
        priceLineVisible: false,
        lastValueVisible: place === 0,
        pointMarkersVisible: place === 0,
        pointMarkersRadius: 2.5,
        priceFormat: { type: "price", precision: 2, minMove: 0.01 },
        ...(place === 0 && level !== null
          ? { autoscaleInfoProvider: (own: () => Scaled) => including(own(), level.value) }
          : {}),
      });
      this.lines.push(line);
    }
    const first = this.lines[0];
    if (first === undefined) throw new Error("a chart has a line");
    this.overlay = new Overlay(this.chart, first);
    first.attachPrimitive(this.overlay);
    // The chart learns its size after its first data.
    new ResizeObserver(() => this.chart.timeScale().fitContent()).observe(byId(id));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  show(lines: readonly Line[], marks: readonly Mark[] = []): void {
    this.lines.forEach((series, place) => {
      const { points = [], isDotted = false } = lines[place] ?? {};
      series.setData(points.map(({ timeS, value }) => ({ time: timeS as UTCTimestamp, value })));
      series.applyOptions({ lineStyle: isDotted ? LineStyle.Dashed : LineStyle.Solid });
    });
    this.overlay.points = lines[0]?.points ?? [];
    this.overlay.marks = marks;
    this.colours = lines.map((line) => line.colour);
    this.paint();
    this.chart.timeScale().fitContent();
  }

  private colours: Line["colour"][] = [];
  private levelLine: ReturnType<ISeriesApi<"Line">["createPriceLine"]> | null = null;

  private paint(): void {
    const style = getComputedStyle(document.documentElement);
    const read = (name: string) => style.getPropertyValue(name).trim();
    this.chart.applyOptions({
      layout: { background: { color: "transparent" }, textColor: read("--soft") },
      grid: { vertLines: { visible: false }, horzLines: { color: read("--line") } },
      rightPriceScale: { borderColor: read("--line") },
      timeScale: { borderColor: read("--line") },
    });
    this.colours.forEach((name, place) => this.lines[place]?.applyOptions({ color: read(name) }));
    this.overlay.paint(read("--accent-soft"), read("--ink"));
    this.paintLevel(read("--down"));
  }

  private paintLevel(color: string): void {
    const [first] = this.lines;
    if (this.level === null || first === undefined) return;
    const { value: price, text: title } = this.level;
    if (this.levelLine !== null) first.removePriceLine(this.levelLine);
    this.levelLine = first.createPriceLine({ price, title, color, lineWidth: 1, lineStyle: 2 });
  }
}

type Scaled = { priceRange: { minValue: number; maxValue: number } | null } | null;

/** The scale that also shows this value. */
function including(own: Scaled, value: number): Scaled {
  const range = own?.priceRange ?? { minValue: value, maxValue: value };
  return {
    priceRange: {
      minValue: Math.min(range.minValue, 0, value),
      maxValue: Math.max(range.maxValue, value * 1.1),
    },
  };
}

/** The interval as a band behind the line, and marks as upright lines with a word on top. */
class Overlay implements ISeriesPrimitive<UTCTimestamp>, IPrimitivePaneView, IPrimitivePaneRenderer {
  points: readonly Point[] = [];
  marks: readonly Mark[] = [];
  private band = "";
  private ink = "";

  constructor(
    private readonly chart: IChartApi,
    private readonly series: ISeriesApi<"Line">,
  ) {}

  paint(band: string, ink: string): void {
    this.band = band;
    this.ink = ink;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.views;
  }

  private readonly views = [this];

  zOrder(): "bottom" {
    return "bottom";
  }

  renderer(): IPrimitivePaneRenderer {
    return this;
  }

  /** Called while the scale is fitted: the whole of the interval is to be seen. */
  autoscaleInfo(): Scaled {
    const ends = this.points.flatMap(({ low, high }) => [low, high]).filter((end) => end !== null);
    if (ends.length === 0) return null;
    return { priceRange: { minValue: Math.min(...ends), maxValue: Math.max(...ends) } };
  }

  draw(target: Target): void {
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      context.fillStyle = this.band;
      for (const part of this.parts()) {
        context.beginPath();
        part.forEach(([x, , high]) => context.lineTo(x, high));
        [...part].reverse().forEach(([x, low]) => context.lineTo(x, low));
        context.fill();
      }
      context.strokeStyle = context.fillStyle = this.ink;
      context.font = "11px system-ui, sans-serif";
      for (const { timeS, text } of this.marks) {
        const x = this.x(timeS);
        if (x === null) continue;
        context.setLineDash([3, 3]);
        context.beginPath();
        context.moveTo(x, 0);
        context.lineTo(x, mediaSize.height);
        context.stroke();
        context.fillText(text, x + 4, 12);
      }
    });
  }

  /** Stretches of points that have an interval: x, low and high on the screen. */
  private parts(): [number, number, number][][] {
    const parts: [number, number, number][][] = [[]];
    for (const { timeS, low, high } of this.points) {
      const x = this.x(timeS);
      const bottom = low === null ? null : this.series.priceToCoordinate(low);
      const top = high === null ? null : this.series.priceToCoordinate(high);
      if (x === null || bottom === null || top === null) parts.push([]);
      else parts.at(-1)?.push([x, bottom, top]);
    }
    return parts.filter((part) => part.length > 0);
  }

  private x(timeS: number): number | null {
    return this.chart.timeScale().timeToCoordinate(timeS as UTCTimestamp);
  }
}
