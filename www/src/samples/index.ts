// Texts to read. None is in the training data of the model that ships with the page: two addresses were held out, the rest was
// written for this page.

import orvane from "./orvane.txt?raw";
import johnson from "./johnson-1966.txt?raw";
import madison from "./madison-1809.txt?raw";
import program from "./program.txt?raw";
import tongues from "./tongues.txt?raw";

export interface Sample {
  id: string;
  name: string;
  text: string;
}

export const SAMPLES: readonly [Sample, ...Sample[]] = [
  { id: "johnson-1966", name: "Johnson 1966, opening (held out)", text: johnson },
  { id: "madison-1809", name: "Madison 1809, whole address (held out)", text: madison },
  { id: "orvane", name: "The lamps of Orvane: invented names that return", text: orvane },
  { id: "program", name: "A program in Rust", text: program },
  { id: "tongues", name: "One sentence in nine languages", text: tongues },
];
