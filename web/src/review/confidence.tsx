// How sure a reading is, as a number and a colour; and why a plate was not read, in plain words.

export type Level = "good" | "warn" | "bad";

export function levelOf(confidence: number): Level {
  return confidence >= 0.9 ? "good" : confidence >= 0.7 ? "warn" : "bad";
}

/** 97 %; never 100 % for what is not certain. */
export function sureness(confidence: number): string {
  return `${Math.min(99, Math.floor(confidence * 100))} %`;
}

export function Confidence({ value }: { value: number }) {
  return (
    <span class={`tag numbers ${levelOf(value)}`} title={`Probability that every character is right: ${(value * 100).toFixed(1)} %`}>
      <span class="visually-hidden">Confidence </span>
      {sureness(value)}
    </span>
  );
}

const REASONS: Record<string, string> = {
  too_small: "Too small: it was never tall enough in the picture to be read.",
  blurred: "Blurred: no frame shows it sharply enough.",
  no_agreement: "No agreement: the frames contradict one another, or the text was less sure than asked for.",
};

const SHORT: Record<string, string> = { too_small: "too small", blurred: "blurred", no_agreement: "no agreement" };

export const reasonInWords = (reason: string): string => REASONS[reason] ?? `It was not read: ${reason.replaceAll("_", " ")}.`;
export const reasonInShort = (reason: string): string => SHORT[reason] ?? reason.replaceAll("_", " ");
