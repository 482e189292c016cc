// Upload and the list of jobs.
export default function HomeView(_props: { query: URLSearchParams }) {
  return (
    <section>
      <h1 tabIndex={-1}>Read number plates</h1>
    </section>
  );
}
