// The frame around every view: header, navigation, theme, and where the focus goes.
import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyNeeded } from "./api";
import HomeView from "./home/HomeView";
import { hasSession, KeyView, leave } from "./key/KeyView";
import { link, route, type Route } from "./router";
import { percent } from "./format";
import { setTheme, theme, type Theme } from "./theme";
import { overall } from "./upload/uploads";
import { Announcer } from "./ui/announce";
import { Icon } from "./ui/Icon";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function ThemeSwitch() {
  const now = theme.value;
  const icon = now === "light" ? "sun" : now === "dark" ? "moon" : "system";
  return (
    <button
      type="button"
      class="button quiet icon-only"
      aria-label={`Theme: ${now}. Switch to ${NEXT[now]}.`}
      title={`Theme: ${now}`}
      onClick={() => setTheme(NEXT[now])}
    >
      <Icon name={icon} />
    </button>
  );
}

function Header({ view }: { view: Route["view"] }) {
  return (
    <header class="header">
      <div class="header-inner">
        <a class="brand" href={link.home()}>
          detect<span>api</span>
        </a>
        <nav aria-label="Main">
          <a href={link.home()} aria-current={view === "home" ? "page" : undefined}>
            Videos
          </a>
          <a href={link.search()} aria-current={view === "search" ? "page" : undefined}>
            Search
          </a>
        </nav>
        {view !== "home" && overall.value !== null && (
          <a class="tag active numbers" href={link.home()}>
            Uploading {percent(overall.value)}
          </a>
        )}
        {hasSession.value && !keyNeeded.value && (
          <button type="button" class="button quiet" onClick={() => void leave()}>
            Forget the key
          </button>
        )}
        <ThemeSwitch />
      </div>
    </header>
  );
}

/** A view whose code is fetched when it is first shown. */
function later<P extends object>(load: () => Promise<{ default: ComponentType<P> }>) {
  let loaded: ComponentType<P> | null = null;
  return function Later(props: P) {
    const [failed, setFailed] = useState(false);
    const [, setReady] = useState(loaded !== null);
    useEffect(() => {
      if (loaded) return;
      load().then(
        (module) => {
          loaded = module.default;
          setReady(true);
        },
        () => setFailed(true),
      );
    }, []);
    if (failed) {
      return (
        <p class="notice bad" role="alert">
          This view could not be fetched: the server was updated or does not answer. Reload the page.
        </p>
      );
    }
    const View = loaded;
    return View ? <View {...props} /> : null;
  };
}

const ReviewView = later(() => import("./review/ReviewView"));
const SearchView = later(() => import("./search/SearchView"));

const TITLES: Record<Route["view"], string> = {
  home: "Videos",
  review: "Review",
  search: "Search",
  unknown: "Not found",
};

function View({ to }: { to: Route }) {
  switch (to.view) {
    case "home":
      return <HomeView query={to.query} />;
    case "review":
      return <ReviewView key={to.jobId} jobId={to.jobId} query={to.query} />;
    case "search":
      return <SearchView query={to.query} />;
    case "unknown":
      return (
        <section class="empty">
          <h1 tabIndex={-1}>There is nothing here</h1>
          <p>
            <a href={link.home()}>Back to the videos</a>
          </p>
        </section>
      );
  }
}

export function App() {
  const to = route.value;
  const place = to.view === "review" ? `review/${to.jobId}` : to.view;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${TITLES[to.view]} · detect-api`;
    if (first.current) {
      first.current = false;
      return;
    }
    // A new view is read from its top, by the eye and by the screen reader.
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [place]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header view={to.view} />
      <main id="main" ref={main} tabIndex={-1}>
        {keyNeeded.value ? <KeyView /> : <View to={to} />}
      </main>
      <Announcer />
    </>
  );
}
