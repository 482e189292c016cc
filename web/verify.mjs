// Builds the page into a temporary folder and compares it, byte by byte, with the committed build.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { build } from "vite";

const committed = join(import.meta.dirname, "../src/detect_api/web/static");
const fresh = mkdtempSync(join(tmpdir(), "detect-api-web-"));

function filesIn(folder) {
  const names = readdirSync(folder, { recursive: true }).map(String);
  return new Map(
    names
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [relative(folder, join(folder, name)), readFileSync(join(folder, name))]),
  );
}

try {
  await build({ logLevel: "error", build: { outDir: fresh, emptyOutDir: true } });
  const [before, after] = [filesIn(committed), filesIn(fresh)];
  const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
    (name) => !before.get(name)?.equals(after.get(name) ?? Buffer.from([0])),
  );
  if (differing.length) {
    console.error(`The committed page is not that of web/: ${differing.join(", ")}. Run 'make web' and commit.`);
    process.exitCode = 1;
  } else {
    console.log(`The committed page is that of web/ (${after.size} files).`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
