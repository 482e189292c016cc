// Large files straight to S3, in parts that are signed on demand. After a pause, a broken
// connection or a reload the store is asked which parts it has, and only the others are sent.
import { api, ApiError } from "../api";
import { contentType } from "./method";
import { persist } from "./persist";
import { checkReadable, readingFields, type Transfer } from "./transfer";
import { send } from "./xhr";

/** Parts on their way at once: enough to fill a long line, few enough to lose little. */
const PARALLEL = 4;
/** URLs asked for at a time. */
const BATCH = 32;
const COMPLETIONS = 3;
/** Times that one part may be refused (403) and signed anew. */
const REFUSALS = 2;

interface Created {
  upload_id: string;
  job_id: string;
  part_size: number;
  parts: number;
}

interface Known extends Created {
  status: string;
  file_size: number;
  received: { part_number: number; size: number }[];
}

interface SignedPart {
  part_number: number;
  url: string;
  headers: Record<string, string>;
  size: number;
}

export async function sendMultipart(transfer: Transfer): Promise<void> {
  let upload = transfer.known === null ? null : await find(transfer, transfer.known);
  upload ??= await create(transfer);
  transfer.onCreated(upload.job_id, upload.upload_id);
  for (let completion = 1; !isOver(upload.status); completion++) {
    await sendParts(transfer, upload);
    if (await complete(transfer, upload.upload_id, completion < COMPLETIONS)) break;
    upload = (await find(transfer, upload.upload_id)) ?? (await create(transfer));
    transfer.onCreated(upload.job_id, upload.upload_id);
  }
  transfer.onProgress(transfer.file.size);
}

function isOver(status: string): boolean {
  return ["uploaded", "pending", "processing", "completed"].includes(status);
}

async function create(transfer: Transfer): Promise<Known> {
  const { file, reading, signal, onWaiting } = transfer;
  // The same key each time: an answer that was lost does not leave a second upload behind.
  const headers = { "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
  const body = {
    filename: file.name,
    file_size: file.size,
    content_type: contentType(file),
    auto_process: true,
    ...readingFields(reading),
  };
  const created = await persist(() => api.post<Created>("/uploads", body, { headers, signal }), { signal, onWaiting });
  return { ...created, status: "uploading", file_size: file.size, received: [] };
}

/** The upload as the store has it; null when it is gone, was cancelled or is another file's. */
async function find({ file, signal, onWaiting }: Transfer, uploadId: string): Promise<Known | null> {
  try {
    const path = `/uploads/${uploadId}`;
    const known = await persist(() => api.get<Known>(path, { signal }), { signal, onWaiting });
    const usable = ["awaiting_upload", "uploading"].includes(known.status) || isOver(known.status);
    return usable && known.file_size === file.size ? known : null;
  } catch (error) {
    if (error instanceof ApiError && [404, 409, 410].includes(error.status)) return null;
    throw error;
  }
}

/** Whether the upload is complete; false if the store lacks parts and it is worth another round. */
async function complete({ signal, onWaiting }: Transfer, uploadId: string, again: boolean): Promise<boolean> {
  try {
    const path = `/uploads/${uploadId}/complete`;
    await persist(() => api.post(path, {}, { signal, timeout: 180_000 }), { signal, onWaiting });
    return true;
  } catch (error) {
    if (again && error instanceof ApiError && error.status === 409) return false;
    throw error;
  }
}

async function sendParts(transfer: Transfer, upload: Known): Promise<void> {
  const { file, signal, onWaiting } = transfer;
  const sizeOf = (number: number) => Math.min(upload.part_size, file.size - (number - 1) * upload.part_size);
  const there = new Set(upload.received.filter((p) => p.size === sizeOf(p.part_number)).map((p) => p.part_number));
  const missing = Array.from({ length: upload.parts }, (_, index) => index + 1).filter((n) => !there.has(n));
  let settled = [...there].reduce((sum, number) => sum + sizeOf(number), 0);
  const moving = new Map<number, number>();
  const report = () => transfer.onProgress(settled + [...moving.values()].reduce((sum, part) => sum + part, 0));
  report();

  // One part's failure ends the others, so that none goes on sending after it was given up.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const signed = signer(upload.upload_id, missing, either);

  async function sendPart(number: number): Promise<void> {
    const start = (number - 1) * upload.part_size;
    let refusals = 0;
    const body = file.slice(start, start + sizeOf(number));
    await persist(
      async () => {
        await checkReadable(file);
        const { url, headers } = await signed(number);
        try {
          await send({
            method: "PUT",
            url,
            headers,
            body,
            signal: either,
            onProgress: (sent) => {
              moving.set(number, Math.min(sent, body.size));
              report();
            },
          });
        } catch (error) {
          moving.delete(number);
          report();
          signed.forget(number);
          throw error instanceof ApiError && error.status === 403 && ++refusals <= REFUSALS ? expired(error) : error;
        }
      },
      { signal: either, onWaiting, progress: () => settled },
    );
    moving.delete(number);
    settled += body.size;
    report();
  }

  const queue = missing.values();
  async function worker(): Promise<void> {
    for (const number of queue) await sendPart(number);
  }
  try {
    await Promise.all(Array.from({ length: Math.min(PARALLEL, missing.length) }, worker));
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}

/** A signature that ran out while the machine slept: signing anew helps, so it counts as passing. */
function expired(error: ApiError): ApiError {
  return new ApiError(503, error.code, error.detail);
}

interface Signer {
  (number: number): Promise<SignedPart>;
  forget: (number: number) => void;
}

/** Signed URLs by part number, asked for in batches in the order of `missing`, until they expire. */
function signer(uploadId: string, missing: number[], signal: AbortSignal): Signer {
  const kept = new Map<number, { part: SignedPart; until: number }>();
  let asking: Promise<void> | null = null;

  async function ask(number: number): Promise<void> {
    const from = missing.indexOf(number);
    const numbers = missing.slice(from, from + BATCH);
    const answer = await api.post<{ parts: SignedPart[]; expires_in: number }>(
      `/uploads/${uploadId}/parts`,
      { part_numbers: numbers },
      { signal },
    );
    const until = Date.now() + answer.expires_in * 800;
    for (const part of answer.parts) kept.set(part.part_number, { part, until });
  }

  const sign = async (number: number): Promise<SignedPart> => {
    for (;;) {
      const found = kept.get(number);
      if (found && found.until > Date.now()) {
        kept.delete(number);
        return found.part;
      }
      asking ??= ask(number).finally(() => {
        asking = null;
      });
      await asking;
    }
  };
  sign.forget = (number: number) => {
    kept.delete(number);
  };
  return sign;
}
