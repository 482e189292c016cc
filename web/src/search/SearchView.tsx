// Plates across all jobs. A placeholder until the search lands.
export default function SearchView(_props: { query: URLSearchParams }) {
  return (
    <section>
      <h1 tabIndex={-1}>Search</h1>
    </section>
  );
}
