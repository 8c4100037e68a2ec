/** Elements by id, and new ones. Text only ever becomes text, never markup. */

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

export function make(tag: string, className = "", text = ""): HTMLElement {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

export function row(cells: readonly [className: string, text: string][]): HTMLElement {
  const line = make("tr");
  line.append(...cells.map(([className, text]) => make("td", className, text)));
  return line;
}

/** A group of radio buttons: arrow keys move within it. */
export function fillChoice(
  fieldset: HTMLElement,
  name: string,
  options: readonly string[],
  chosen: string,
  choose: (option: string) => void,
): void {
  const labels = options.map((option) => {
    const label = make("label");
    const input = document.createElement("input");
    input.type = "radio";
    input.name = name;
    input.value = option;
    input.checked = option === chosen;
    input.addEventListener("change", () => choose(option));
    label.append(input, make("span", "", option));
    return label;
  });
  const legend = fieldset.querySelector("legend");
  fieldset.replaceChildren(...(legend === null ? [] : [legend]), ...labels);
}

export function input(id: string): HTMLInputElement {
  return byId(id) as HTMLInputElement;
}

export function select(id: string): HTMLSelectElement {
  return byId(id) as HTMLSelectElement;
}
