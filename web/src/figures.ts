/** Figures of one window of performance: the version that served beside all it is compared with. */

import { list, nullOr, number, object, string } from "./reading";

export interface Figure {
  value: number;
  low: number | null;
  high: number | null;
}

export interface Predictor {
  role: string;
  name: string;
  rows: number;
  macroF1: Figure | null;
  mcc: Figure | null;
  logLoss: Figure | null;
  calibrationError: Figure | null;
  pnlPerRow: Figure | null;
}

export function readFigure(data: unknown): Figure {
  const said = object(data);
  return {
    value: number(said["value"]),
    low: nullOr(said["low"], number),
    high: nullOr(said["high"], number),
  };
}

export function readPredictors(data: unknown): Predictor[] {
  return list(object(data)["predictors"], readPredictor);
}

/** "0.410 [0.389, 0.429]"; without blocks enough for an interval the value alone. */
export function formatFigure(figure: Figure | null, digits: number): string {
  if (figure === null) return "–";
  const { value, low, high } = figure;
  const interval = low === null || high === null ? "" : ` [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
  return `${value.toFixed(digits)}${interval}`;
}

/** "v4, shadow"; of a plain rule and of a ticker its name says enough. */
export function formatPredictor(predictor: Predictor): string {
  const name = predictor.name.replaceAll("_", " ");
  return predictor.role === "baseline" || predictor.role === "ticker" ? name : `${name}, ${predictor.role}`;
}

function readPredictor(data: unknown): Predictor {
  const said = object(data);
  return {
    role: string(said["role"]),
    name: string(said["name"]),
    rows: number(said["rows"]),
    macroF1: nullOr(said["macro_f1"], readFigure),
    mcc: nullOr(said["mcc"], readFigure),
    logLoss: nullOr(said["log_loss"], readFigure),
    calibrationError: nullOr(said["calibration_error"], readFigure),
    pnlPerRow: nullOr(said["pnl_per_row"], readFigure),
  };
}
