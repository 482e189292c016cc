// Which way a file goes to the server, by its size and what the server offers.
import { bytes } from "../format";
import type { Config } from "../types";

export type Method = "s3" | "s3-multipart" | "tus" | "api";

/** How a video is to be read; the fields of POST /process/video/s3. */
export interface Reading {
  frame_skip: number;
  min_confidence: number | null;
  region: string | null;
  delete_after_processing: boolean;
}

export const PLAIN_READING: Reading = {
  frame_skip: 1,
  min_confidence: null,
  region: null,
  delete_after_processing: false,
};

/** Only these can go on where they stopped. */
export const RESUMABLE: readonly Method[] = ["s3-multipart", "tus"];

const TYPES: Record<string, string> = {
  mp4: "video/mp4",
  m4v: "video/mp4",
  mov: "video/quicktime",
  avi: "video/x-msvideo",
  mkv: "video/x-matroska",
  webm: "video/webm",
  flv: "video/x-flv",
};

function extensionOf(name: string): string {
  return /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? "";
}

/** The media type to send a file as. Browsers do not know all of them. */
export function contentType(file: { name: string; type: string }): string {
  return file.type.startsWith("video/") ? file.type : (TYPES[extensionOf(file.name)] ?? "video/mp4");
}

/** The method for a file of this size. */
export function chooseMethod(config: Config, size: number): Method {
  const offered = new Set(config.upload_methods);
  const large = size >= (config.multipart_threshold ?? Infinity) || size > config.max_file_size;
  if (large && offered.has("s3-multipart")) return "s3-multipart";
  if (offered.has("s3")) return "s3";
  return offered.has("tus") ? "tus" : "api";
}

function limitOf(config: Config, method: Method): number {
  return method === "s3-multipart" ? (config.max_multipart_size ?? config.max_file_size) : config.max_file_size;
}

/** The largest file that any method takes. */
export function largest(config: Config): number {
  return limitOf(config, chooseMethod(config, Infinity));
}

/** Why a file cannot be uploaded, as a sentence; null if it can. */
export function refusalOf(config: Config, file: { name: string; size: number }): string | null {
  if (!config.video_extensions.includes(extensionOf(file.name))) {
    return `This is not a video that can be read. Known are: ${config.video_extensions.join(", ")}.`;
  }
  if (file.size === 0) return "The file is empty.";
  const limit = limitOf(config, chooseMethod(config, file.size));
  return file.size > limit ? `The file is larger than this server takes: ${bytes(limit)}.` : null;
}
