import { render } from "preact";
import "@preact/signals";
import { App } from "./app";
import "./tokens.css";
import "./style.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
