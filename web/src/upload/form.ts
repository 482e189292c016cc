// Whole files in one request: by a pre-signed form straight to S3, or through the API. They cannot
// go on in the middle; a broken one starts anew.
import { address, api, ApiError } from "../api";
import { contentType } from "./method";
import { persist } from "./persist";
import { checkReadable, readingFields, type Transfer } from "./transfer";
import { send } from "./xhr";

interface Form {
  job_id: string;
  upload_url: string;
  upload_fields: Record<string, string>;
  expires_in: number;
}

/** By POST form straight to S3; the work starts when the object is there. */
export async function sendForm(transfer: Transfer): Promise<void> {
  const { file, signal, onWaiting } = transfer;
  let form: Form | null = null;
  let presigned = 0;
  let most = 0;
  await persist(
    async () => {
      await checkReadable(file);
      if (form === null) presigned = Date.now();
      form ??= await presign(transfer);
      const body = new FormData();
      for (const [name, value] of Object.entries(form.upload_fields)) body.append(name, value);
      body.append("file", file);
      try {
        const onProgress = (sent: number) => {
          most = Math.max(most, sent);
          transfer.onProgress(Math.min(sent, file.size));
        };
        await send({ method: "POST", url: form.upload_url, body, signal, onProgress });
      } catch (error) {
        transfer.onProgress(0);
        // The form ran out meanwhile: a new one helps. Any other refusal stays one.
        if (error instanceof ApiError && error.status === 403 && Date.now() > presigned + form.expires_in * 1000) {
          form = null;
          throw new ApiError(503, error.code, error.detail);
        }
        throw error;
      }
    },
    { signal, onWaiting, progress: () => most },
  );
}

async function presign({ file, reading, signal, onCreated }: Transfer): Promise<Form> {
  const body = {
    filename: file.name,
    file_size: file.size,
    content_type: contentType(file),
    auto_process: true,
    ...readingFields(reading),
  };
  const form = await api.post<Form>("/process/video/upload/s3/presigned-url", body, { signal });
  onCreated(form.job_id, null);
  return form;
}

/** Through the API. The job's id is ours to choose, so that its progress can be followed at once. */
export async function sendThroughApi(transfer: Transfer): Promise<void> {
  const { file, reading, signal, onWaiting } = transfer;
  let most = 0;
  await persist(
    async () => {
      await checkReadable(file);
      const jobId = uuid();
      const { delete_after_processing: _, ...fields } = readingFields(reading);
      const body = new FormData();
      for (const [name, value] of Object.entries(fields)) body.append(name, String(value));
      body.append("file", new File([file], file.name, { type: contentType(file) }));
      transfer.onCreated(jobId, null);
      try {
        const onProgress = (sent: number) => {
          most = Math.max(most, sent);
          transfer.onProgress(Math.min(sent, file.size));
        };
        const url = address("/process/video/upload/async");
        await send({ method: "POST", url, body, headers: { "X-Job-ID": jobId }, signal, onProgress });
      } catch (error) {
        transfer.onProgress(0);
        throw error;
      }
    },
    { signal, onWaiting, progress: () => most },
  );
}

/** crypto.randomUUID is there on https and localhost only; this is there everywhere. */
function uuid(): string {
  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = (random[6]! & 0x0f) | 0x40;
  random[8] = (random[8]! & 0x3f) | 0x80;
  const hex = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
