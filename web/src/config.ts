// What the server offers, asked once when the page opens and again until it answers.
import { signal } from "@preact/signals";
import { api } from "./api";
import type { Config } from "./types";

export const config = signal<Config | null>(null);
/** True while the server has not answered for the first time. */
export const unreachable = signal(false);

const AGAIN_MS = 3000;

export async function loadConfig(): Promise<void> {
  try {
    config.value = await api.get<Config>("/config", { timeout: 10_000 });
    unreachable.value = false;
  } catch {
    unreachable.value = true;
    setTimeout(() => void loadConfig(), AGAIN_MS);
  }
}
