// Resumable uploads through the API by tus 1.0, for servers without S3 and strict proxies.
import type { DetailedError } from "tus-js-client";
import { address, ApiError } from "../api";
import { contentType } from "./method";
import { persist } from "./persist";
import { checkReadable, readingFields, type Transfer } from "./transfer";

/**
 * Bytes in one request: proxies that are strict about a body's size take it, and it is a multiple
 * of the part that the server stores at once.
 */
const CHUNK = 16 * 1024 * 1024;

export async function sendTus(transfer: Transfer): Promise<void> {
  // Fetched when it is needed: most servers have S3.
  const { Upload } = await import("tus-js-client");
  const { file, reading, config, signal, onWaiting } = transfer;
  const { delete_after_processing: _, ...fields } = readingFields(reading);
  const metadata = Object.fromEntries(
    Object.entries({ filename: file.name, filetype: contentType(file), ...fields }).map(([k, v]) => [k, String(v)]),
  );
  let url = transfer.known;
  let most = 0;

  const attempt = () =>
    new Promise<void>((resolve, reject) => {
      const upload = new Upload(file, {
        endpoint: address(config.tus_url ?? "/uploads/tus"),
        ...(url === null ? {} : { uploadUrl: address(url) }),
        metadata,
        chunkSize: CHUNK,
        // Trying again and remembering are done by us, the same for all methods.
        retryDelays: [],
        storeFingerprintForResuming: false,
        removeFingerprintOnSuccess: false,
        onUploadUrlAvailable: () => {
          const found = upload.url ? new URL(upload.url, document.baseURI) : null;
          const jobId = found?.pathname.split("/").pop();
          if (!found || !jobId) return;
          url = `${config.tus_url ?? "/uploads/tus"}/${jobId}`;
          transfer.onCreated(jobId, url);
        },
        onProgress: (sent) => {
          most = Math.max(most, sent);
          transfer.onProgress(sent);
        },
        onSuccess: () => finish(resolve),
        onError: (error) => finish(() => reject(translated(error))),
      });
      const stop = () => {
        void upload.abort();
        finish(() => reject(signal.reason));
      };
      const finish = (settle: () => void) => {
        signal.removeEventListener("abort", stop);
        settle();
      };
      signal.addEventListener("abort", stop);
      upload.start();
    });

  await persist(
    async () => {
      await checkReadable(file);
      try {
        await attempt();
      } catch (error) {
        // What was known is gone: expired, cancelled or swept. Begin anew, once.
        if (error instanceof ApiError && url !== null && [403, 404, 410].includes(error.status)) {
          url = null;
          throw new ApiError(503, error.code, error.detail);
        }
        throw error;
      }
    },
    { signal, onWaiting, progress: () => most },
  );
  transfer.onProgress(file.size);
}

function translated(error: Error | DetailedError): Error {
  const answer = "originalResponse" in error ? error.originalResponse : null;
  if (!answer) return new ApiError(0, "connection_lost", "The connection was lost while sending.");
  try {
    const { detail, code } = JSON.parse(answer.getBody()) as { detail: string; code: string };
    if (typeof detail === "string") return new ApiError(answer.getStatus(), code, detail);
  } catch {
    // No problem document.
  }
  return new ApiError(answer.getStatus(), "unknown", `The server refused the upload (${answer.getStatus()}).`);
}

