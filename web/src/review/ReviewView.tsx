// A job's video and its plates. A placeholder until the review view lands.
interface ReviewProps {
  jobId: string;
  query: URLSearchParams;
}

export default function ReviewView({ jobId }: ReviewProps) {
  return (
    <section>
      <h1 tabIndex={-1}>Review</h1>
      <p class="muted">Job {jobId}</p>
    </section>
  );
}
