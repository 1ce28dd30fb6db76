/** Our version, from package.json: bundled at build, so that nothing is read at start. */
import manifest from "../package.json" with { type: "json" };

export const katasimVersion: string = manifest.version;
