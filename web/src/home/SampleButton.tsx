// Tries the service on a clip that the server draws itself.
import { useSignal } from "@preact/signals";
import { api, sentence } from "../api";
import { config } from "../config";
import { refresh } from "../jobs/jobs";
import type { JobCreated } from "../types";
import { announce } from "../ui/announce";

export function SampleButton() {
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);
  if (!config.value?.sample_available) return null;

  async function start(): Promise<void> {
    busy.value = true;
    error.value = null;
    try {
      await api.post<JobCreated>("/process/sample", undefined, { timeout: 180_000 });
      announce("The sample is being read.");
      await refresh();
    } catch (failure) {
      error.value = sentence(failure);
    } finally {
      busy.value = false;
    }
  }

  return (
    <>
      <button type="button" class="button" disabled={busy.value} onClick={() => void start()}>
        {busy.value ? "Getting the sample …" : "Try the sample"}
      </button>
      {error.value && (
        <p class="row-error" role="alert">
          {error.value}
        </p>
      )}
    </>
  );
}
