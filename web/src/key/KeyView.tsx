// Asking for the key, once. The server gives a cookie for it that no script can read; the key itself
// is kept nowhere.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, keyNeeded, request, sentence } from "../api";
import { Icon } from "../ui/Icon";
import "./key.css";

const MARK = "detect-api.session";

/** Whether this browser was given a session. Only for showing the button that ends it. */
export const hasSession = signal(marked());

function marked(): boolean {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return false;
  }
}

function mark(on: boolean): void {
  hasSession.value = on;
  try {
    if (on) localStorage.setItem(MARK, "1");
    else localStorage.removeItem(MARK);
  } catch {
    // A browser that keeps nothing: the session works all the same.
  }
}

/** Ends the session; the page asks for a key again. */
export async function leave(): Promise<void> {
  try {
    await request("DELETE", "/session");
  } catch (error) {
    // Without a session there is nothing to end.
    if (!(error instanceof ApiError) || error.passing) return;
  }
  mark(false);
  keyNeeded.value = true;
}

export function KeyView() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  async function send(event: Event): Promise<void> {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (!key || busy) return;
    setBusy(true);
    setProblem("");
    try {
      await request("POST", "/session", { headers: { "X-API-Key": key } });
      mark(true);
      keyNeeded.value = false;
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 401;
      setProblem(wrong ? "This key is not valid (any more)." : sentence(error));
      setBusy(false);
      field.current?.focus();
    }
  }

  return (
    <form class="key-view" onSubmit={(event) => void send(event)}>
      <h1 tabIndex={-1}>This service needs a key</h1>
      <p>Whoever operates it makes one with “detect-api keys create”.</p>
      <div class="field">
        <label for="key">Key</label>
        <input
          id="key"
          ref={field}
          class="input"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          aria-describedby={problem ? "key-problem" : undefined}
          aria-invalid={problem ? true : undefined}
        />
      </div>
      {problem && (
        <p id="key-problem" class="notice bad" role="alert">
          <Icon name="warning" />
          {problem}
        </p>
      )}
      <button type="submit" class="button primary" aria-disabled={busy}>
        Use this key
      </button>
    </form>
  );
}
