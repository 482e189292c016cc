// A plate's picture in a list that may be scrolled fast: fetched once its row has stayed in sight,
// and no longer wanted when the row has gone.
import { useEffect, useRef } from "preact/hooks";
import { address } from "../api";

const STAYED = 90;

export function Crop({ url, height }: { url: string; height: number }) {
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    const element = image.current;
    const timer = setTimeout(() => {
      if (!element) return;
      element.style.visibility = "";
      element.src = address(url);
    }, STAYED);
    return () => {
      clearTimeout(timer);
      element?.removeAttribute("src");
    };
  }, [url]);
  return <img ref={image} alt="" width="112" height={height} decoding="async" onError={blank} />;
}

/** An empty place instead of a broken picture: of hashed plates none may be kept. */
export function blank(event: Event): void {
  (event.currentTarget as HTMLImageElement).style.visibility = "hidden";
}
