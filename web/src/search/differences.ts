// Where a plate that was found differs from what was searched for.

export interface Piece {
  text: string;
  other: boolean;
}

/** The plate's text in pieces; `other` are characters that are not as asked for (by the shortest
 * way from one to the other). */
export function parted(found: string, asked: string): Piece[] {
  const wanted = asked.toUpperCase().replace(/[^A-Z0-9]/g, "");
  const rows = found.length + 1;
  const columns = wanted.length + 1;
  const far: number[][] = Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => (i && j ? 0 : i + j)));
  const at = (i: number, j: number) => far[i]?.[j] ?? Infinity;
  for (let i = 1; i < rows; i++) {
    for (let j = 1; j < columns; j++) {
      const same = found[i - 1] === wanted[j - 1] ? 0 : 1;
      (far[i] as number[])[j] = Math.min(at(i - 1, j - 1) + same, at(i - 1, j) + 1, at(i, j - 1) + 1);
    }
  }
  const others: boolean[] = [];
  for (let i = rows - 1, j = columns - 1; i > 0; ) {
    const same = found[i - 1] === wanted[j - 1];
    if (j > 0 && at(i, j) === at(i - 1, j - 1) + (same ? 0 : 1)) {
      others[--i] = !same;
      j--;
    } else if (j > 0 && at(i, j) === at(i, j - 1) + 1) j--;
    else others[--i] = true;
  }
  const pieces: Piece[] = [];
  [...found].forEach((character, i) => {
    const last = pieces.at(-1);
    const other = others[i] ?? false;
    if (last && last.other === other) last.text += character;
    else pieces.push({ text: character, other });
  });
  return pieces;
}
