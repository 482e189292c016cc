// Asks before a job is deleted, and names what is lost.
import { useSignal } from "@preact/signals";
import { sentence } from "../api";
import * as format from "../format";
import type { Job } from "../types";
import { announce } from "../ui/announce";
import { Dialog } from "../ui/Dialog";
import { deleteJob } from "./jobs";
import { isActive } from "./status";

export function DeleteDialog({ job, name, onClose }: { job: Job; name: string; onClose: () => void }) {
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);

  async function remove(): Promise<void> {
    busy.value = true;
    try {
      await deleteJob(job);
      announce(`${name} was deleted.`);
      // The row is gone, and with it the button that the focus would go back to.
      document.getElementById("videos-title")?.focus();
    } catch (failure) {
      error.value = sentence(failure);
      busy.value = false;
    }
  }

  return (
    <Dialog
      title={`Delete “${name}”?`}
      onClose={onClose}
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            Keep it
          </button>
          <button type="button" class="button danger" disabled={busy.value} onClick={() => void remove()}>
            Delete for good
          </button>
        </>
      }
    >
      <p>This cannot be undone. It deletes:</p>
      <ul class="losses">
        <li>{job.file_size ? `the video, ${format.bytes(job.file_size)}, unless another job reads it too` : "the video"}</li>
        {job.type !== "upload" && (
          <li>{job.plates_found ? `${format.counted(job.plates_found, "plate")}, with every correction made` : "all that was read in it"}</li>
        )}
        {job.type !== "upload" && <li>the pictures that prove them</li>}
      </ul>
      {isActive(job) && <p>It is still at work; that stops, too.</p>}
      {error.value && (
        <p class="notice bad" role="alert">
          {error.value}
        </p>
      )}
    </Dialog>
  );
}
