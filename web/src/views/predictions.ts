import { formatAge, isStale } from "../freshness";
import { CLASSES, type Class, type Prediction } from "../messages";
import { byId, make } from "./dom";

const ARROWS: Record<Class, string> = { down: "▼", flat: "■", up: "▲" };

/** What each model says now; the ages tick by `tick`. */
export class PredictionsView {
  private shown: readonly Prediction[] | null | undefined = undefined;
  private ticker = "";
  private ages: { element: HTMLElement; prediction: Prediction }[] = [];

  /** @param predictions null: not heard yet. */
  show(ticker: string, predictions: readonly Prediction[] | null, nowUs: number): void {
    if (predictions !== this.shown || ticker !== this.ticker) {
      this.shown = predictions;
      this.ticker = ticker;
      this.draw(predictions);
    }
    this.tick(nowUs);
  }

  tick(nowUs: number): void {
    for (const { element, prediction } of this.ages) {
      const ageUs = nowUs - prediction.gridTimeUs;
      element.textContent = `Features ${formatAge(ageUs)} old`;
      const isOld = isStale(ageUs) || prediction.isDegraded;
      element.className = isOld ? "age stale" : "age";
    }
  }

  private draw(predictions: readonly Prediction[] | null): void {
    this.ages = [];
    if (predictions === null) {
      byId("models").replaceChildren();
    } else if (predictions.length === 0) {
      byId("models").replaceChildren(
        make("p", "none", "No predictions yet"),
        make(
          "p",
          "hint",
          `No model has spoken about ${this.ticker}. Either none is champion (outcry models list,` +
            " outcry models promote), or the rooms features and inference do not run" +
            " (outcry status), or inference runs without its stream" +
            " (OUTCRY_INFERENCE_STREAM=1), or the ticker has not traded for as long as its" +
            " features look back.",
        ),
      );
    } else {
      const inOrder = [...predictions].sort((a, b) => Number(a.isShadow) - Number(b.isShadow));
      byId("models").replaceChildren(...inOrder.map((prediction) => this.card(prediction)));
    }
  }

  private card(prediction: Prediction): HTMLElement {
    const card = make("article", `model ${prediction.predicted}`);
    const head = make("p", "class", `${ARROWS[prediction.predicted]} ${prediction.predicted}`);
    const name = make("p", "name", `${prediction.model}, version ${prediction.version}`);
    if (prediction.isShadow) name.append(" ", make("span", "badge", "shadow"));
    if (prediction.isDegraded) name.append(" ", make("span", "badge stale", "degraded"));
    const age = make("p", "age");
    this.ages.push({ element: age, prediction });
    card.append(head, name, bars(prediction), age);
    return card;
  }
}

function bars(prediction: Prediction): HTMLElement {
  const list = make("dl");
  for (const name of CLASSES) {
    const percent = `${(prediction.probabilities[name] * 100).toFixed(1)} %`;
    const bar = make("div", `bar ${name}`);
    bar.style.width = percent.replace(" ", "");
    const track = make("div", "track");
    track.append(bar);
    const value = make("dd", "", percent);
    list.append(make("dt", "", name), track, value);
  }
  return list;
}
