// Upload, and the list of what was uploaded.
import { useEffect } from "preact/hooks";
import { config, loadConfig, unreachable } from "../config";
import { JobFilter } from "../jobs/JobFilter";
import { JobRow } from "../jobs/JobRow";
import { anyJobs, isFiltered, jobs, loaded, more, nextCursor, problem, watchJobs } from "../jobs/jobs";
import { DropZone } from "../upload/DropZone";
import { ReadingOptions } from "../upload/ReadingOptions";
import { UploadRow } from "../upload/UploadRow";
import { forget, uploads } from "../upload/uploads";
import { Icon } from "../ui/Icon";
import { Example } from "./Example";
import { SampleButton } from "./SampleButton";
import "./home.css";

export default function HomeView(_props: { query: URLSearchParams }) {
  useEffect(() => {
    if (!config.value) void loadConfig();
    return watchJobs();
  }, []);
  const empty = anyJobs.value === false && uploads.value.length === 0;
  return (
    <>
      {unreachable.value && (
        <p class="notice warn top-notice" role="status">
          <Icon name="warning" />
          The server does not answer. The page tries again every few seconds.
        </p>
      )}
      {empty ? <Welcome /> : <Working />}
    </>
  );
}

function Welcome() {
  return (
    <section class="welcome">
      <div class="welcome-head">
        <div class="welcome-words">
          <h1 tabIndex={-1}>Read the number plates in your traffic videos</h1>
          <p class="lead">
            Give it a video and get every plate: the text, when and where it was seen, how sure the reading is, and the
            picture that proves it.
          </p>
        </div>
        <Example />
      </div>
      <DropZone large extra={<SampleButton />} />
      <ReadingOptions />
      <ol class="steps">
        <li>
          <h2>Upload</h2>
          <p>Drop one video or many. A broken line or a closed page loses nothing: uploads go on where they stopped.</p>
        </li>
        <li>
          <h2>Wait, or don’t</h2>
          <p>Reading begins by itself. Plates show up while the rest of the video is still being read.</p>
        </li>
        <li>
          <h2>Review</h2>
          <p>Watch each plate in the video, correct what was misread, search all videos, and export the list.</p>
        </li>
      </ol>
    </section>
  );
}

function Working() {
  const reading = new Set(jobs.value.map((job) => job.job_id));
  const own = new Set(uploads.value.map((upload) => upload.jobId.value));
  // An upload in this page has a row already; its awaited job needs no second one.
  const shown = jobs.value.filter((job) => !own.has(job.job_id));
  return (
    <>
      <section class="give">
        <h1 tabIndex={-1} class="visually-hidden">
          Videos
        </h1>
        <DropZone large={false} extra={anyJobs.value === false && <SampleButton />} />
        <ReadingOptions />
      </section>
      {uploads.value.length > 0 && (
        <section aria-labelledby="uploads-title">
          <div class="section-head">
            <h2 id="uploads-title">Uploads</h2>
            {uploads.value.some((upload) => upload.state.value === "refused") && (
              <button
                type="button"
                class="button quiet"
                onClick={() => uploads.value.filter((one) => one.state.value === "refused").forEach(forget)}
              >
                Dismiss what was not uploaded
              </button>
            )}
          </div>
          <ul class="rows card">
            {uploads.value.map((upload) => (
              <UploadRow key={upload.id} upload={upload} reading={reading} />
            ))}
          </ul>
        </section>
      )}
      <section aria-labelledby="videos-title">
        <div class="section-head">
          <h2 id="videos-title" tabIndex={-1}>
            Videos
          </h2>
          <JobFilter />
        </div>
        {problem.value && (
          <p class="notice warn" role="status">
            <Icon name="warning" />
            {problem.value}
          </p>
        )}
        {shown.length > 0 ? (
          <ul class="rows card">
            {shown.map((job) => (
              <JobRow key={job.job_id} job={job} />
            ))}
          </ul>
        ) : (
          <p class="nothing muted">{nothing()}</p>
        )}
        {nextCursor.value && (
          <button type="button" class="button more" onClick={() => void more()}>
            Show older ones
          </button>
        )}
      </section>
    </>
  );
}

function nothing(): string {
  if (!loaded.value) return problem.value ? "" : "Loading …";
  return isFiltered() ? "Nothing matches the filter." : "What you upload is listed here as soon as it is being read.";
}
