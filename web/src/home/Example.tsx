// What the service gives, drawn: a frame, the plate found in it, and what is said of it.
export function Example() {
  return (
    <figure class="example" aria-hidden="true">
      <svg viewBox="0 0 320 200" focusable="false">
        <rect class="example-sky" width="320" height="200" rx="10" />
        <path class="example-road" d="M128 60h64l128 118v12a10 10 0 0 1-10 10H10a10 10 0 0 1-10-10v-12z" />
        <path class="example-line" d="M160 66v10M160 88v16M160 120v24M160 164v36" />
        <path class="example-car" d="M96 92l12-30q3-7 11-7h82q8 0 11 7l12 30q12 3 12 15v38q0 7-7 7H91q-7 0-7-7v-38q0-12 12-15z" />
        <path class="example-glass" d="M108 90l10-24q2-4 6-4h72q4 0 6 4l10 24z" />
        <rect class="example-plate" x="131" y="122" width="58" height="15" rx="2.5" />
        <path class="example-box" d="M122 124v-11h11M187 113h11v11M198 135v11h-11M133 146h-11v-11" />
      </svg>
      <figcaption>
        <span class="plate">HCR 2542</span>
        <span class="tag good numbers">0.98</span>
        <span class="muted small numbers">0:01.4 – 0:04.2</span>
      </figcaption>
    </figure>
  );
}
