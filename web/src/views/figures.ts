import { formatFigure, formatPredictor, type Predictor } from "../figures";
import { byId, make } from "./dom";

/** A line for everybody who is compared in the newest window of performance. */
export function showFigures(predictors: readonly Predictor[]): void {
  byId("no-figures").hidden = predictors.length > 0;
  byId("figures").replaceChildren(...predictors.map(line));
}

function line(predictor: Predictor): HTMLElement {
  const { rows, macroF1, mcc, logLoss, calibrationError, pnlPerRow } = predictor;
  const figures = [macroF1, mcc, logLoss, calibrationError].map((one) => formatFigure(one, 3));
  const element = make("tr");
  element.append(
    make("td", predictor.role === "champion" ? "" : "soft", formatPredictor(predictor)),
    ...[rows.toLocaleString("en-US"), ...figures, formatFigure(pnlPerRow, 1)].map((text) =>
      make("td", "number", text),
    ),
  );
  return element;
}
