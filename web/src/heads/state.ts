/** What a session shows, as parameters of an address, and back. Texts are in it, pictures are not. */
import type { Session } from "./session.svelte";
import { nameOfHead, type HeadPlace } from "./subject";

const CELLS = ["cell", "cell2"] as const;

export function stateOf(session: Session): URLSearchParams {
  const parameters = new URLSearchParams();
  const [one, other] = session.sides;
  if (!session.subject?.pictures) {
    if (one.text !== session.defaultText) parameters.set("text", one.text);
    if (!other.empty) parameters.set("with", other.text);
  }
  if (session.pinned) parameters.set("head", nameOfHead(session.pinned));
  session.sides.forEach(({ pinned }, i) => {
    if (pinned) parameters.set(CELLS[i], `${pinned.query},${pinned.key}`);
  });
  const off = session.places.filter((place) => !session.isOpen(place));
  if (off.length > 0) parameters.set("off", off.map(nameOfHead).join(","));
  if (session.causal) parameters.set("causal", "1");
  return parameters;
}

/** What an address does not name is as at first; what there is not is left out. */
export function restore(session: Session, parameters: URLSearchParams): void {
  const [one, other] = session.sides;
  if (!session.subject?.pictures) {
    one.text = parameters.get("text") ?? session.defaultText;
    other.text = parameters.get("with") ?? "";
  }
  session.sides.forEach((side, i) => {
    const [query, key] = (parameters.get(CELLS[i]) ?? "").split(",").map(Number);
    side.pinLater(Number.isInteger(query) && Number.isInteger(key) ? { query, key } : null);
  });
  const named = (names: string | null): HeadPlace[] => {
    const list = (names ?? "").split(",");
    return session.places.filter((place) => list.includes(nameOfHead(place)));
  };
  const [head] = named(parameters.get("head"));
  session.pinned = null;
  if (head) session.pin(head);
  const off = named(parameters.get("off"));
  if (off.length > 0 || !session.allOpen) session.openAll();
  for (const place of off) session.setGate(place, false);
  session.causal = parameters.get("causal") === "1";
}
